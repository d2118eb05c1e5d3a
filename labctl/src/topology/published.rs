//! The published rows that a topology can be compared with.

/// `infocom2006`: Baset and Schulzrinne, "An Analysis of the Skype Peer-to-Peer Internet Telephony
/// Protocol", Infocom 2006; the table of the three set-ups.
pub const ROWS: [&str; 3] = ["infocom2006/expA", "infocom2006/expB", "infocom2006/expC"];
