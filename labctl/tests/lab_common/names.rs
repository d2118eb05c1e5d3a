//! Names of what tests make on this machine. They say which process made it, so that what a killed test left is told from
//! what somebody works with.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands between a name and the number of the process that it belongs to.
const MARK: &str = ".pid";

/// A name for a lab that no other test has, nor another run of this one. `prefix` has up to 6 characters: a lab's name
/// has 20 at most.
pub fn own(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{number}{MARK}{}", std::process::id())
}

/// Whether a test made the lab of this name, or had `labctl nat check` make it, and the process that did is no more.
pub fn is_left_over(lab: &str) -> bool {
    let process = |number: &str| number.parse::<u32>().ok();
    let test = lab.rsplit_once(MARK).and_then(|(_, number)| process(number));
    let check = lab.strip_prefix("natcheck").and_then(|rest| process(rest.split('.').next()?));
    test.is_some_and(|process| !is_a_test(process))
        || check.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
}

/// Process numbers are used again, but cargo puts test programs, and nothing else that runs, into a folder `deps`.
fn is_a_test(process: u32) -> bool {
    let program = fs::read_link(format!("/proc/{process}/exe"));
    program.is_ok_and(|program| program.parent().is_some_and(|folder| folder.ends_with("deps")))
}
