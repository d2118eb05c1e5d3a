//! Whose rights a container's processes have outside of it.

use std::ffi::CString;
use std::fs;
use std::io;

use crate::runtime::NODE_USER;

/// The one user that a container knows, and who that is outside.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// User and group in the numbers of this process: [`NODE_USER`] where that is somebody, else the one user
    /// that there is.
    pub(super) outside: u32,
    /// True in the machine's first user namespace: the kernel then asks for fewer proofs.
    pub(super) initial: bool,
    /// True if supplementary groups can be given up.
    pub(super) may_set_groups: bool,
}

impl Identity {
    /// As the user namespace of this process allows.
    pub(super) fn find() -> io::Result<Self> {
        let users = fs::read_to_string("/proc/self/uid_map")?;
        let groups = fs::read_to_string("/proc/self/gid_map")?;
        let set_groups = fs::read_to_string("/proc/self/setgroups")?;
        let mapped = maps(&users, NODE_USER) && maps(&groups, NODE_USER);
        Ok(Self {
            outside: if mapped { NODE_USER } else { 0 },
            initial: is_initial(&users),
            may_set_groups: set_groups.trim() == "allow",
        })
    }

    /// What is written to `uid_map` and `gid_map` of the container's first process: inside it is always
    /// [`NODE_USER`].
    pub(super) fn map(&self) -> String {
        format!("{NODE_USER} {} 1\n", self.outside)
    }

    /// Options of a file system in memory that belongs to the container.
    pub(super) fn scratch(&self, mode: &str, mebibytes: u32) -> CString {
        let options = format!("mode={mode},size={mebibytes}m,nr_inodes=16k,uid={0},gid={0}", self.outside);
        CString::new(options).expect("numbers hold no NUL")
    }
}

/// The lines of a map: first number inside, first outside, how many.
fn lines(map: &str) -> impl Iterator<Item = [u64; 3]> + '_ {
    map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some([numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?])
    })
}

fn maps(map: &str, id: u32) -> bool {
    lines(map).any(|[first, _, count]| (first..first + count).contains(&u64::from(id)))
}

fn is_initial(map: &str) -> bool {
    lines(map).eq([[0, 0, u64::from(u32::MAX)]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_who_is_there() {
        let first = "         0          0 4294967295\n";
        assert!(maps(first, NODE_USER) && is_initial(first));
        let own = "         0       1000          1\n";
        assert!(!maps(own, NODE_USER) && maps(own, 0) && !is_initial(own));
        let subordinate = "0 1000 1\n1 100000 65536\n";
        assert!(maps(subordinate, NODE_USER) && !is_initial(subordinate));
    }
}
