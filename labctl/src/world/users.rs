//! Which users there are in this process' user namespace.

use std::fs;

/// All ids but the one that means "no user".
const ALL: u64 = u32::MAX as u64;

/// True where every id is a user, as on a machine outside of any user namespace.
#[must_use]
pub fn has_all_users() -> bool {
    map().is_some_and(|map| is_mapped(&map, 0..ALL))
}

/// True if there is a user of this id here. In a world there is none but 0, who is its owner.
#[must_use]
pub fn has_user(id: u32) -> bool {
    map().is_some_and(|map| is_mapped(&map, u64::from(id)..u64::from(id) + 1))
}

fn map() -> Option<String> {
    fs::read_to_string("/proc/self/uid_map").ok()
}

/// Whether one line of a map (first id inside, first id outside, how many) has all of these.
fn is_mapped(map: &str, ids: std::ops::Range<u64>) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().map_while(|number| number.parse().ok()).collect();
        let [first, _, count] = numbers[..] else { return false };
        first <= ids.start && ids.end <= first + count
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_says_who_there_is() {
        let machine = "         0          0 4294967295\n";
        assert!(is_mapped(machine, 0..ALL));
        let world = "         0       1000          1\n";
        assert!(is_mapped(world, 0..1));
        assert!(!is_mapped(world, 65534..65535) && !is_mapped(world, 0..ALL));
        assert!(is_mapped("0 1000 1\n1 100000 65536\n", 65534..65535));
        assert!(!is_mapped("", 0..1));
    }
}
