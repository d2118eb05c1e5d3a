//! The tree of nodes and gateways.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::layout::window;
use super::table::{Cell, line, row};
use super::{BAD, CHANGED, GOOD, NAME, QUIET};
use crate::watch::member::{Kind, Liveness, Member};
use crate::watch::state::{Pane, State};

/// How many there are, and how many of them are not as they should be.
pub fn title(state: &State) -> String {
    let (shown, all) = (state.shown_members().len(), state.members.len());
    let bad = |member: &&Member| !matches!(member.liveness, Liveness::Up | Liveness::Unknown);
    let bad = state.members.iter().filter(bad).count();
    let shown = if shown == all { String::new() } else { format!("{shown} of ") };
    let bad = if bad == 0 { String::new() } else { format!(", {bad} NOT UP") };
    format!("{} {shown}{all}{bad}", Pane::Nodes.title())
}

/// All of the selected one, for where its columns have no room.
pub fn detail(state: &State) -> Option<String> {
    let member = state.selected()?;
    let place = match (&member.kind, &member.gateway) {
        (Kind::Gateway { nat, firewall }, _) => format!("NAT {nat}, firewall {firewall}"),
        (_, Some(gateway)) => format!("behind {gateway}"),
        (_, None) => "public".to_owned(),
    };
    Some(format!("{} {} {}, {place}", member.name, member.kind.word(), member.address))
}

pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let members = state.shown_members();
    let selected = state.places.nodes.min(members.len().saturating_sub(1));
    let seen = window(selected, members.len(), usize::from(area.height));
    let longest = members.iter().map(|member| member.name.len() + 2 * member.depth).max().unwrap_or(0);
    for (number, index) in seen.enumerate() {
        if let Some(line) = line(area, number) {
            member(members[index], longest, index == selected && state.focus == Pane::Nodes, line, buffer);
        }
    }
}

fn member(member: &Member, longest: usize, selected: bool, area: Rect, buffer: &mut Buffer) {
    let (mark, style) = match &member.liveness {
        Liveness::Up => ("●", GOOD),
        Liveness::Unknown => ("·", QUIET),
        Liveness::Poor(_) => ("◐", CHANGED),
        Liveness::Ended(_) | Liveness::Missing => ("✗", BAD),
    };
    let is_gateway = matches!(member.kind, Kind::Gateway { .. });
    let name = format!("{}{}", "  ".repeat(member.depth), member.name);
    let state = match &member.kind {
        Kind::Gateway { nat, firewall } => format!("{}  {nat} + {firewall}", member.state()),
        _ => member.state().to_owned(),
    };
    let width = usize::from(area.width);
    let name_width = longest.clamp(8, 24).min(width.saturating_sub(2));
    let mut cells = vec![Cell::new(mark, 1).style(style)];
    cells.push(Cell::new(&name, name_width).style(if is_gateway { NAME } else { Style::new() }));
    let mut room = width.saturating_sub(3 + name_width);
    // The state first, then the address, then the role.
    for (text, wide, least) in [(member.kind.word(), 12, 44), (member.address.as_str(), 17, 31)] {
        if room >= least {
            cells.push(Cell::new(text, wide).style(QUIET));
            room -= wide + 1;
        }
    }
    let state_style =
        if matches!(member.liveness, Liveness::Up | Liveness::Unknown) { Style::new() } else { style };
    cells.push(Cell::new(&state, room).style(state_style));
    row(buffer, area, &cells, selected);
}
