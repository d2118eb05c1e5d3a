//! What was published, to compare with.

use serde::Serialize;

/// How far a published figure can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It stands in the course material that this project was made from.
    Course,
    /// The paper is cited for it; not checked against its text.
    Paper,
}

/// A published row, and what counts as having reproduced it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The key in a topology's `published:`.
    pub key: &'static str,
    /// The set-up.
    pub users: &'static str,
    /// Login time as published: the least and the greatest, in seconds.
    pub login_s: (f64, f64),
    /// Total data exchanged at first-time login as published, in KB; 1 KB is 1000 bytes here.
    pub total_kb: f64,
    /// Where the row comes from.
    pub source: Source,
    /// A median login time from and to here, in seconds, counts as reproduced.
    pub login_within_s: (f64, f64),
}

/// A median payload that is off by this share of the published one still counts as reproduced.
pub const TOTAL_TOLERANCE: f64 = 0.10;
/// Bytes in a KB. The publications do not say; 1000 is the SI's meaning.
pub const BYTES_PER_KB: f64 = 1000.0;

/// Baset and Schulzrinne, "An Analysis of the Skype Peer-to-Peer Internet Telephony Protocol", Infocom 2006:
/// the comparison of three set-ups.
pub const TABLE: [Published; 3] = [
    Published {
        key: "infocom2006/expA",
        users: "both on public addresses, online, on each other's buddy list",
        login_s: (3.0, 7.0),
        total_kb: 9.0,
        source: Source::Course,
        login_within_s: (3.0, 7.0),
    },
    Published {
        key: "infocom2006/expB",
        users: "caller or callee behind a port-restricted NAT; one super node in use",
        login_s: (3.0, 7.0),
        total_kb: 10.0,
        source: Source::Course,
        login_within_s: (3.0, 7.0),
    },
    Published {
        key: "infocom2006/expC",
        users: "both behind a port-restricted NAT and a UDP-restricted firewall; multiple super nodes",
        // "About 34 s": taken as 34, give or take 3.
        login_s: (34.0, 34.0),
        total_kb: 8.5,
        source: Source::Course,
        login_within_s: (31.0, 37.0),
    },
];

/// The published row with this key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Published> {
    TABLE.iter().find(|row| row.key == key)
}

impl Published {
    /// Whether a median login time, in seconds, is as published.
    #[must_use]
    pub fn has_login(&self, median_s: f64) -> bool {
        let (least, most) = self.login_within_s;
        (least..=most).contains(&median_s)
    }

    /// Whether a median payload, in bytes, is as published, give or take [`TOTAL_TOLERANCE`].
    #[must_use]
    pub fn has_total(&self, median_bytes: u64) -> bool {
        let published = self.total_kb * BYTES_PER_KB;
        (median_bytes as f64 - published).abs() <= published * TOTAL_TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_times_count_up_to_the_ends_of_the_range() {
        let row = find("infocom2006/expA").unwrap();
        assert!(row.has_login(3.0) && row.has_login(7.0));
        assert!(!row.has_login(2.999) && !row.has_login(7.001));
        let row = find("infocom2006/expC").unwrap();
        assert!(row.has_login(31.0) && row.has_login(37.0) && !row.has_login(30.9) && !row.has_login(37.1));
    }

    #[test]
    fn totals_count_up_to_a_tenth_off() {
        let row = find("infocom2006/expC").unwrap();
        assert!(row.has_total(7650) && row.has_total(9350));
        assert!(!row.has_total(7649) && !row.has_total(9351));
    }

    #[test]
    fn an_unknown_key_has_no_row() {
        assert_eq!(find("infocom2006/expD"), None);
    }
}
