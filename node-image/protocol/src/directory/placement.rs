//! Which super nodes hold a user's record: rendezvous hashing (Thaler and Ravishankar, 1998).
//!
//! Every super node has a weight for every user: the first 8 bytes of SHA-256 over `home`, the super node's
//! address and port (6 bytes, big-endian) and the user's name, as a number. The super nodes with the greatest
//! weights are the user's homes. A super node that comes or goes changes the homes of no user but those that
//! it is, or was, a home of; and nobody has to agree on anything but on who is there.

use std::net::SocketAddrV4;

use sha2::{Digest, Sha256};

use crate::user::UserName;
use crate::wire::Wire;

/// The `count` of `nodes` that a user's record belongs to, the greatest weight first.
#[must_use]
pub fn homes(
    user: &UserName,
    nodes: impl IntoIterator<Item = SocketAddrV4>,
    count: usize,
) -> Vec<SocketAddrV4> {
    let mut weighed: Vec<_> = nodes.into_iter().map(|node| (weight(user, node), node)).collect();
    weighed.sort_unstable_by(|one, other| other.cmp(one));
    weighed.truncate(count);
    weighed.into_iter().map(|(_, node)| node).collect()
}

fn weight(user: &UserName, node: SocketAddrV4) -> u64 {
    let mut text = b"home".to_vec();
    node.put(&mut text);
    text.extend_from_slice(user.as_str().as_bytes());
    let digest: [u8; 32] = Sha256::digest(text).into();
    let (first, _) = digest.split_first_chunk::<8>().expect("32 bytes are more than 8");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn nodes(count: u8) -> Vec<SocketAddrV4> {
        (0..count).map(|last| SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, last), 33_033)).collect()
    }

    fn user(number: u32) -> UserName {
        UserName::new(&format!("user-{number}")).unwrap()
    }

    #[test]
    fn the_weight_is_the_hash_that_the_documentation_states() {
        let text = [b"home".as_slice(), &[198, 18, 0, 7, 0x81, 0x09], b"alice"].concat();
        let expected = u64::from_be_bytes(Sha256::digest(text)[..8].try_into().unwrap());
        let node = SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, 7), 0x8109);
        assert_eq!(weight(&UserName::new("alice").unwrap(), node), expected);
    }

    #[test]
    fn a_node_that_goes_moves_only_what_it_held() {
        let all = nodes(20);
        let gone = all[7];
        for number in 0..200 {
            let before = homes(&user(number), all.clone(), 4);
            let after = homes(&user(number), all.iter().copied().filter(|node| *node != gone), 4);
            let stayed: Vec<_> = before.iter().copied().filter(|node| *node != gone).collect();
            assert_eq!(after[..stayed.len()], stayed, "user {number}");
        }
    }

    #[test]
    fn every_node_is_home_to_about_as_many_users() {
        let mut users = [0; 20];
        for number in 0..2_000 {
            for home in homes(&user(number), nodes(20), 4) {
                users[usize::from(home.ip().octets()[3])] += 1;
            }
        }
        // 400 each in the mean; six deviations of a binomial are 107.
        assert!(users.iter().all(|count| (293..=507).contains(count)), "{users:?}");
    }

    #[test]
    fn with_few_nodes_all_are_homes() {
        assert_eq!(homes(&user(1), nodes(2), 4).len(), 2);
        assert!(homes(&user(1), nodes(0), 4).is_empty());
    }
}
