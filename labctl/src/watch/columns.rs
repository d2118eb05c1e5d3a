//! The columns of a table of links: what stands in them, which of them fit, and in which order the rows are.

use super::rates::LinkRates;
use super::units::{bytes, count, delay};

/// A column of a table of links, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Name of the link.
    Name,
    /// Its region.
    Region,
    /// Whether it works.
    State,
    /// Bytes per second to the WAN.
    UpBytes,
    /// Packets per second to the WAN.
    UpPackets,
    /// Bytes per second from the WAN.
    DownBytes,
    /// Packets per second from the WAN.
    DownPackets,
    /// Dropped packets per second.
    Drops,
    /// Bytes that wait, both ways.
    Queue,
    /// How long packets wait, the longer way.
    Delay,
    /// What was dropped since the engine's start, by cause.
    Causes,
}

impl Column {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Name,
        Self::Region,
        Self::State,
        Self::UpBytes,
        Self::UpPackets,
        Self::DownBytes,
        Self::DownPackets,
        Self::Drops,
        Self::Queue,
        Self::Delay,
        Self::Causes,
    ];

    /// In the order in which they are given room.
    const BY_NEED: [Self; 11] = [
        Self::Name,
        Self::UpBytes,
        Self::DownBytes,
        Self::Drops,
        Self::State,
        Self::UpPackets,
        Self::DownPackets,
        Self::Queue,
        Self::Delay,
        Self::Causes,
        Self::Region,
    ];

    /// What stands above it.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Name => "LINK",
            Self::Region => "REGION",
            Self::State => "STATE",
            Self::UpBytes => "UP/s",
            Self::UpPackets | Self::DownPackets => "PKT/s",
            Self::DownBytes => "DOWN/s",
            Self::Drops => "DROP/s",
            Self::Queue => "QUEUE",
            Self::Delay => "WAIT",
            Self::Causes => "DROPPED, BY CAUSE",
        }
    }

    /// Characters that it takes.
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Name => 12,
            Self::Region => 10,
            Self::State => 5,
            Self::UpPackets | Self::DownPackets | Self::Drops => 6,
            Self::UpBytes | Self::DownBytes | Self::Queue | Self::Delay => 7,
            Self::Causes => 18,
        }
    }

    /// Numbers stand to the right.
    #[must_use]
    pub const fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::Region | Self::State | Self::Causes)
    }

    /// What stands in it for a link.
    #[must_use]
    pub fn text(self, link: &LinkRates) -> String {
        match self {
            Self::Name => link.name.clone(),
            Self::Region => link.region.clone(),
            Self::State => if link.works { "up" } else { "DOWN" }.to_owned(),
            Self::UpBytes => bytes(link.up.bytes_s),
            Self::UpPackets => count(link.up.packets_s),
            Self::DownBytes => bytes(link.down.bytes_s),
            Self::DownPackets => count(link.down.packets_s),
            Self::Drops => count(link.drops_s),
            Self::Queue => bytes((link.up_queue + link.down_queue) as f64),
            Self::Delay => {
                let longer = link.up_delay_ms.into_iter().chain(link.down_delay_ms).reduce(f64::max);
                longer.map_or_else(|| "-".to_owned(), delay)
            }
            Self::Causes => causes(link),
        }
    }

    /// Those that fit into a width, in the order in which they stand, each with its characters. What is left over is
    /// shared by the names and the causes.
    #[must_use]
    pub fn fitting(width: usize, longest_name: usize) -> Vec<(Self, usize)> {
        let mut room = width;
        let mut chosen = Vec::new();
        for column in Self::BY_NEED {
            let needed = column.width() + usize::from(!chosen.is_empty());
            if needed > room && !chosen.is_empty() {
                break;
            }
            room = room.saturating_sub(needed);
            chosen.push(column);
        }
        let mut fitting: Vec<_> = Self::ALL
            .into_iter()
            .filter(|column| chosen.contains(column))
            .map(|column| (column, column.width().min(width)))
            .collect();
        for (column, wide) in &mut fitting {
            let more = match column {
                Self::Name => room.min(longest_name.saturating_sub(*wide)),
                Self::Causes => room,
                _ => 0,
            };
            *wide += more;
            room -= more;
        }
        fitting
    }
}

/// What was dropped since the engine's start: `loss 12 up, 3 down; queue 4 up`.
fn causes(link: &LinkRates) -> String {
    let dropped = &link.dropped;
    let both = |what: &str, up: u64, down: u64| match (up, down) {
        (0, 0) => None,
        (up, 0) => Some(format!("{what} {up} up")),
        (0, down) => Some(format!("{what} {down} down")),
        (up, down) => Some(format!("{what} {up} up {down} down")),
    };
    let one = |what: &str, number: u64| (number > 0).then(|| format!("{what} {number}"));
    let said: Vec<String> = [
        both("loss", dropped.up_loss, dropped.down_loss),
        both("queue", dropped.up_queue, dropped.down_queue),
        one("link down", dropped.link_down),
        one("partition", dropped.partition),
        one("overflow", dropped.overflow),
    ]
    .into_iter()
    .flatten()
    .collect();
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

/// The order of links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// That of the plan.
    #[default]
    Plan,
    /// By name.
    Name,
    /// The busiest first, by bytes both ways.
    Rate,
    /// Those that drop most first: at present, then since the engine's start.
    Drops,
    /// Those with the longest queue first.
    Queue,
}

impl Sort {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Plan => Self::Name,
            Self::Name => Self::Rate,
            Self::Rate => Self::Drops,
            Self::Drops => Self::Queue,
            Self::Queue => Self::Plan,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Name => "name",
            Self::Rate => "rate",
            Self::Drops => "drops",
            Self::Queue => "queue",
        }
    }
}

/// The links that a filter lets through, in order. A filter is a part of the name or of the region.
#[must_use]
pub fn sorted<'a>(links: &'a [LinkRates], sort: Sort, reverse: bool, filter: &str) -> Vec<&'a LinkRates> {
    let passes = |link: &&LinkRates| link.name.contains(filter) || link.region.contains(filter);
    let mut rows: Vec<_> = links.iter().filter(passes).collect();
    match sort {
        Sort::Plan => {}
        Sort::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::Rate => rows.sort_by(|a, b| b.bytes_s().total_cmp(&a.bytes_s())),
        Sort::Drops => rows
            .sort_by(|a, b| b.drops_s.total_cmp(&a.drops_s).then(b.dropped.total().cmp(&a.dropped.total()))),
        Sort::Queue => {
            rows.sort_by_key(|link| std::cmp::Reverse(link.up_queue + link.down_queue));
        }
    }
    if reverse {
        rows.reverse();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::wan::counters::Drops;
    use crate::watch::Flow;

    fn link(name: &str, bytes_s: f64, dropped: Drops) -> LinkRates {
        LinkRates {
            name: name.to_owned(),
            region: "here".to_owned(),
            works: true,
            up: Flow { bytes_s, packets_s: 1.0 },
            down: Flow::default(),
            drops_s: 0.0,
            dropped,
            up_queue: 0,
            down_queue: 0,
            up_delay_ms: Some(1.0),
            down_delay_ms: Some(20.0),
        }
    }

    #[test]
    fn columns_never_take_more_than_the_width() {
        for width in 1..200 {
            let fitting = Column::fitting(width, 20);
            let all: usize = fitting.iter().map(|(_, wide)| wide).sum::<usize>() + fitting.len() - 1;
            assert!(all <= width, "{width}: {fitting:?}");
            assert_eq!(fitting[0].0, Column::Name, "{width}");
        }
        assert_eq!(Column::fitting(200, 20).len(), Column::ALL.len());
    }

    #[test]
    fn links_are_sorted_and_filtered() {
        let drops = Drops { up_loss: 2, down_loss: 1, partition: 4, ..Drops::default() };
        let links =
            [link("b", 1.0, Drops::default()), link("a", 9.0, Drops::default()), link("c", 0.0, drops)];
        let names = |sort, reverse, filter| {
            sorted(&links, sort, reverse, filter).iter().map(|link| link.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(Sort::Plan, false, ""), ["b", "a", "c"]);
        assert_eq!(names(Sort::Name, true, ""), ["c", "b", "a"]);
        assert_eq!(names(Sort::Rate, false, ""), ["a", "b", "c"]);
        assert_eq!(names(Sort::Drops, false, "c"), ["c"]);
        assert_eq!(Column::Causes.text(&links[2]), "loss 2 up 1 down, partition 4");
        assert_eq!(Column::Delay.text(&links[0]), "20 ms");
    }
}
