//! Screens of states, at several sizes.

use std::collections::HashMap;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::lab::nat::{Kind as MappingKind, MappingRow, Peer};
use crate::link::{AccessLink, LinkSpec};
use crate::net::wan::counters::{Counters, Drops, Tally, Waiting};
use crate::net::wan::{EngineKind, LinkReport, Report};
use crate::plan::Plan;
use crate::profile::Catalogue;
use crate::topology::{self, Overrides};
use crate::watch::{Event, Grade, Liveness, Update, Verdict};

const TOPOLOGY: &str = "\
name: small
title: Two homes and three super nodes
wan: { regions: [here], rtt: { here/here: 10ms } }
overlay: { profile: skype-2006, host_cache: { entries: 3, stale: 0% } }
nodes:
  login: { role: login-server, region: here }
  sn: { role: super-node, region: here, count: 3 }
  web: { command: [python3, -m, http.server], region: here }
sites:
  campus-a:
    region: here
    gateway: { nat: port-restricted, firewall: udp-restricted }
    nodes: { alice: { role: client } }
  campus-b:
    region: here
    gateway: { nat: full-cone, firewall: open }
    nodes: { bob: { role: client } }
";

fn plan() -> Plan {
    let read = topology::parse(TOPOLOGY, "small.yaml", &Catalogue::shipped(), &Overrides::default());
    Plan::new(&read.unwrap())
}

fn report(plan: &Plan, seconds: u64) -> Report {
    let link = |(number, at): (u64, &crate::plan::Attachment)| LinkReport {
        name: at.name.to_string(),
        region: "here".to_owned(),
        works: at.name.as_str() != "sn-2",
        access: AccessLink { up: LinkSpec::UNLIMITED, down: LinkSpec::UNLIMITED },
        counters: Counters {
            sent: Tally { packets: seconds * number * 10, bytes: seconds * number * 1_400 },
            received: Tally { packets: seconds * number * 7, bytes: seconds * number * 90_000 },
            dropped: Drops { up_loss: seconds * (number % 2), down_queue: 3, ..Drops::default() },
            up_waiting: Waiting { packets: seconds * 2, total_ns: seconds * 50_000_000, longest_ns: 0 },
            ..Counters::default()
        },
        up_backlog: number * 300,
        down_backlog: 0,
    };
    Report {
        engine: EngineKind::User,
        uptime_ns: seconds * 1_000_000_000,
        in_flight: 12,
        partitions: 0,
        strays: 0,
        missed: 0,
        links: (0..).zip(&plan.wan.attachments).map(link).collect(),
    }
}

fn mapping(port: u16) -> MappingRow {
    let peer = |last| Peer { address: [198, 18, 0, last].into(), port: Some(33_033) };
    MappingRow {
        protocol: "udp",
        inside: format!("192.168.1.2:{port}").parse().unwrap(),
        outside: format!("198.18.0.118:{port}").parse().unwrap(),
        kind: MappingKind::Dynamic,
        peers: vec![peer(3), peer(4)],
        flows: 2,
        age_s: Some(40),
        idle_s: Some(5),
        left_s: Some(295),
    }
}

/// A lab in which something goes on.
fn state(view: View) -> State {
    let plan = plan();
    let mut state = State::new(&plan, "embedded", view);
    let names = state.members.iter().map(|member| member.name.clone());
    let mut found: HashMap<_, _> = names.map(|name| (name, Liveness::Up)).collect();
    found.insert("web".to_owned(), Liveness::Ended("exited with 1".to_owned()));
    found.remove("sn-3");
    // Without the moments at which these were seen, which are other ones each time.
    for member in &mut state.members {
        member.liveness = found.get(&member.name).cloned().unwrap_or(Liveness::Missing);
    }
    state.apply(Update::Wan(Ok(Box::new(report(&plan, 7_200)))));
    state.apply(Update::Wan(Ok(Box::new(report(&plan, 7_210)))));
    state.apply(Update::Says("alice".to_owned(), "logged-in via 198.18.0.3".to_owned()));
    state.apply(Update::Mappings("campus-a".to_owned(), Ok(vec![mapping(40_001), mapping(5_060)])));
    let event = |at, source: &str, grade, text: &str| Event {
        at: Duration::from_secs(at),
        source: source.to_owned(),
        text: text.to_owned(),
        grade,
    };
    state.apply(Update::Events(vec![
        event(3_600, "alice", Grade::Plain, "login: round (round 1)"),
        event(3_601, "alice", Grade::Bad, "login: UDP blocked (probes 30)"),
        event(3_609, "alice", Grade::Good, "login: logged in"),
        event(3_605, "sn-2", Grade::Change, "link down"),
    ]));
    state
}

fn screen(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().to_string()
}

fn press(state: &mut State, code: KeyCode) {
    assert_eq!(state.press(KeyEvent::new(code, KeyModifiers::NONE)), Verdict::Stay);
}

#[test]
fn a_lab_on_a_large_screen() {
    insta::assert_snapshot!(screen(&state(View::Lab), 150, 40));
}

#[test]
fn a_lab_on_a_usual_screen() {
    insta::assert_snapshot!(screen(&state(View::Lab), 80, 24));
}

#[test]
fn a_lab_on_a_small_screen_shows_one_pane() {
    let mut state = state(View::Lab);
    insta::assert_snapshot!(screen(&state, 40, 12));
    press(&mut state, KeyCode::Char('3'));
    insta::assert_snapshot!(screen(&state, 40, 12));
}

#[test]
fn links_alone() {
    let mut state = state(View::Links);
    state.arrange(crate::watch::Sort::Rate, false, "");
    insta::assert_snapshot!(screen(&state, 120, 14));
}

#[test]
fn the_help_lies_over_everything() {
    let mut state = state(View::Lab);
    press(&mut state, KeyCode::Char('?'));
    insta::assert_snapshot!(screen(&state, 80, 24));
    press(&mut state, KeyCode::Char('q'));
    assert!(!state.help, "any key ends the help, and only that");
}

#[test]
fn nothing_is_known_at_first() {
    let state = State::new(&plan(), "embedded", View::Lab);
    insta::assert_snapshot!(screen(&state, 80, 24));
}

/// Every size that a window can be dragged to, in every mode.
#[test]
fn no_size_breaks_it() {
    let mut state = state(View::Lab);
    for keys in ["1", "2", "3", "4", "z", "/", "?"] {
        for key in keys.chars() {
            press(&mut state, KeyCode::Char(key));
        }
        for width in (0..30).chain([40, 59, 60, 80, 129, 130, 300]) {
            for height in (0..10).chain([19, 20, 24, 60]) {
                let area = Rect::new(0, 0, width, height);
                draw(&state, area, &mut Buffer::empty(area));
                drop(wants(&state, area));
            }
        }
    }
}

#[test]
fn only_what_is_seen_is_asked_for() {
    let mut state = state(View::Lab);
    let all = wants(&state, Rect::new(0, 0, 150, 40));
    assert!(all.links && all.members);
    assert_eq!(all.gateway.as_deref(), Some("campus-a"));
    assert_eq!(all.status, ["alice", "bob", "login", "sn-1", "sn-2", "sn-3"]);
    assert_eq!(all.logs.len(), 7, "a small lab has all of its logs followed");
    let small = wants(&state, Rect::new(0, 0, 40, 6));
    assert_eq!((small.gateway, small.logs.len(), small.status.len()), (None, 0, 1));
    press(&mut state, KeyCode::Char('p'));
    assert_eq!(wants(&state, Rect::new(0, 0, 150, 40)), Wants::default(), "nothing while it is paused");
}

#[test]
fn a_filter_holds_for_all_rows_and_the_selection_stays_among_them() {
    let mut state = state(View::Lab);
    press(&mut state, KeyCode::End);
    press(&mut state, KeyCode::Char('/'));
    for key in "sn-".chars() {
        press(&mut state, KeyCode::Char(key));
    }
    press(&mut state, KeyCode::Enter);
    assert_eq!(state.selected().map(|member| member.name.as_str()), Some("sn-3"));
    press(&mut state, KeyCode::Up);
    assert_eq!(state.selected().map(|member| member.name.as_str()), Some("sn-2"));
    assert_eq!(state.shown_links().len(), 3);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.shown_members().len(), 9);
    let quit = state.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE));
    assert_eq!(quit, Verdict::Quit);
}

#[test]
fn what_changes_in_the_wan_and_among_the_nodes_is_an_event() {
    let plan = plan();
    let mut state = State::new(&plan, "embedded", View::Lab);
    let first = report(&plan, 10);
    let mut second = report(&plan, 11);
    second.partitions = 1;
    second.links[0].works = false;
    second.links[1].access.up.delay = Duration::from_millis(80);
    state.apply(Update::Wan(Ok(Box::new(first))));
    state.apply(Update::Wan(Ok(Box::new(second))));
    let all = |up: Liveness| state_members(&plan).into_iter().map(|name| (name, up.clone())).collect();
    state.apply(Update::Members(all(Liveness::Up)));
    state.apply(Update::Members(HashMap::new()));
    let said: Vec<_> =
        state.log.filtered("").map(|event| format!("{}: {}", event.source, event.text)).collect();
    assert_eq!(said[..3], ["WAN: 1 partition in force", "login: link down", "sn-1: link changed, up: 80ms"]);
    assert_eq!(said.len(), 3 + 9, "who is up when one begins to look is no event: {said:?}");
    state.apply(Update::Wan(Err("gone".to_owned())));
    assert!(screen(&state, 80, 24).contains("WAN SILENT"));
}

fn state_members(plan: &Plan) -> Vec<String> {
    State::new(plan, "", View::Lab).members.into_iter().map(|member| member.name).collect()
}
