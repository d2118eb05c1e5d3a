//! Searches in a world, and how they went.

use std::net::SocketAddrV4;
use std::time::Duration;

use overlay_protocol::{ClientCommand, FoundUser, SearchEvent, SearchSummary, homes};

use super::gateway::Policy;
use super::setup::{Setup, log_in, name, super_node_address};
use super::{NodeId, World};

/// How a search went.
#[derive(Debug)]
pub struct Search {
    pub took: Duration,
    pub events: Vec<SearchEvent>,
}

impl Search {
    /// The user that was found, if any; a search that failed is a failure of the test.
    pub fn found(&self) -> Option<&FoundUser> {
        match self.events.last() {
            Some(SearchEvent::Found { found, .. }) => Some(found),
            Some(SearchEvent::Unknown { .. }) => None,
            other => panic!("the search ended with {other:?}"),
        }
    }

    pub fn summary(&self) -> SearchSummary {
        match self.events.last() {
            Some(
                SearchEvent::Found { summary, .. }
                | SearchEvent::Unknown { summary, .. }
                | SearchEvent::Failed { summary, .. },
            ) => *summary,
            other => panic!("the search ended with {other:?}"),
        }
    }

    /// The sizes of the batches that the super node gave.
    pub fn batches(&self) -> Vec<usize> {
        let size = |event: &SearchEvent| match event {
            SearchEvent::Batch { nodes, .. } => Some(nodes.len()),
            _ => None,
        };
        self.events.iter().filter_map(size).collect()
    }
}

/// Lets a client search now, and runs until it has an end.
pub fn search(world: &mut World, client: NodeId, user: &str) -> Search {
    let (start, first) = (world.now, world.searches.len());
    world.command(client, ClientCommand::Search { user: name(user) });
    let mine = |who: &NodeId, event: &SearchEvent| *who == client && event.user() == user;
    let ended = world.run_until(start + Duration::from_secs(600), |world| {
        world.searches[first..].iter().any(|(_, who, event)| mine(who, event) && event.is_last())
    });
    assert!(ended, "the search for {user} has no end");
    let events = world.searches[first..].iter().filter(|(_, who, event)| mine(who, event));
    Search { took: world.now - start, events: events.map(|(.., event)| event.clone()).collect() }
}

/// Adds a client and logs it in.
pub fn online(setup: &Setup, world: &mut World, user: &str, policy: Option<Policy>, host: u8) -> NodeId {
    let client = setup.add(world, setup.client(user), policy, host);
    log_in(world, client).result.expect("the login succeeds");
    client
}

/// The super node that a client uses.
pub fn super_node_of(world: &World, client: NodeId) -> SocketAddrV4 {
    world.client(client).super_node().expect("the client is logged in")
}

/// The world's node at a super node's address.
pub fn node_at(world: &World, address: SocketAddrV4) -> NodeId {
    world.nodes.iter().position(|node| node.address == address).expect("there is one")
}

/// A user of whom none of these super nodes is a home, among so many.
pub fn user_away_from(super_nodes: usize, avoided: &[SocketAddrV4]) -> String {
    let all = || (0..super_nodes).map(super_node_address);
    let away = |user: &String| !homes(&name(user), all(), 4).iter().any(|home| avoided.contains(home));
    (0..1_000).map(|number| format!("user-{number}")).find(away).expect("there are many users")
}
