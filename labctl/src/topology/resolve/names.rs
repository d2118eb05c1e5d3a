//! `count:` expanded, and who has which name.

use std::collections::{HashMap, HashSet};

use overlay_control::Role;

use super::super::MOST_CONTAINERS;
use super::super::fields::{Located, Reporter};
use super::super::problem::{Mark, Problem, did_you_mean};
use super::super::read::{RawKind, RawTopology};
use crate::names::NodeName;

/// A node or site after expansion.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) name: NodeName,
    /// The site that a node is in.
    pub(super) site: Option<NodeName>,
}

/// All names of a topology, grouped as the entries of the file are.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Of each public node of the file.
    pub(super) public: Vec<Vec<Instance>>,
    /// Of each site of the file.
    pub(super) sites: Vec<Vec<Instance>>,
    /// Of each node of each site of the file.
    pub(super) private: Vec<Vec<Vec<Instance>>>,
    marks: HashMap<NodeName, Mark>,
    /// Nodes in the order of the file: name, name in the file, what it is.
    nodes: Vec<(NodeName, NodeName, Occupant)>,
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occupant {
    Overlay(Role),
    Program,
    /// It could not be read, which has been reported.
    Unknown,
}

impl Occupant {
    const CLIENT: Self = Self::Overlay(Role::Client);
}

impl Names {
    /// Expands and enters all names; `None` if there are more than a lab can have.
    pub(super) fn expand(raw: &RawTopology, reporter: &Reporter) -> Option<Self> {
        if !fits(raw, reporter) {
            return None;
        }
        let mut names = Self::default();
        for node in &raw.nodes {
            let expanded = names.enter(&node.name, node.count.as_ref(), None, reporter);
            names.remember(&expanded, &node.name.value, &node.kind);
            names.public.push(expanded);
        }
        for site in &raw.sites {
            let sites = names.enter(&site.name, site.count.as_ref(), None, reporter);
            let mut private = Vec::new();
            for node in &site.nodes {
                let mut expanded = Vec::new();
                for (index, instance) in sites.iter().enumerate() {
                    let number = site.count.is_some().then_some(index + 1);
                    let entered = names.enter_in_site(
                        &node.name,
                        node.count.as_ref(),
                        number,
                        &instance.name,
                        reporter,
                    );
                    expanded.extend(entered);
                }
                names.remember(&expanded, &node.name.value, &node.kind);
                private.push(expanded);
            }
            names.sites.push(sites);
            names.private.push(private);
        }
        Some(names)
    }

    fn remember(&mut self, expanded: &[Instance], group: &NodeName, kind: &RawKind) {
        let occupant = match kind {
            RawKind::Overlay(role) => Occupant::Overlay(role.value),
            RawKind::Program(_) => Occupant::Program,
            RawKind::Unknown => Occupant::Unknown,
        };
        self.nodes.extend(expanded.iter().map(|instance| (instance.name.clone(), group.clone(), occupant)));
    }

    fn enter(
        &mut self,
        name: &Located<NodeName>,
        count: Option<&Located<u32>>,
        suffix: Option<&str>,
        reporter: &Reporter,
    ) -> Vec<Instance> {
        let mut entered = Vec::new();
        let numbers: Vec<Option<u32>> = match count {
            None => vec![None],
            Some(count) => (1..=count.value).map(Some).collect(),
        };
        for number in numbers {
            let mut text = name.value.to_string();
            if let Some(suffix) = suffix {
                text = format!("{text}-{suffix}");
            }
            if let Some(number) = number {
                text = format!("{text}-{number}");
            }
            match text.parse::<NodeName>() {
                Ok(full) => {
                    self.enter_one(&full, name.at, reporter);
                    entered.push(Instance { name: full, site: None });
                }
                Err(error) => {
                    let message =
                        format!("with its number, the name '{}' becomes too long: {error}", name.value);
                    reporter.report(Problem::new(name.at, message).mend("choose a shorter name"));
                    // One of them says it for all.
                    break;
                }
            }
        }
        entered
    }

    fn enter_in_site(
        &mut self,
        name: &Located<NodeName>,
        count: Option<&Located<u32>>,
        site_number: Option<usize>,
        site: &NodeName,
        reporter: &Reporter,
    ) -> Vec<Instance> {
        let suffix = site_number.map(|number| number.to_string());
        let mut entered = self.enter(name, count, suffix.as_deref(), reporter);
        for instance in &mut entered {
            instance.site = Some(site.clone());
        }
        entered
    }

    fn enter_one(&mut self, name: &NodeName, at: Mark, reporter: &Reporter) {
        match self.marks.get(name) {
            None => {
                self.marks.insert(name.clone(), at);
            }
            Some(first) => {
                let message = format!("the name '{name}' is given in line {} already", first.line);
                let mend = "choose another: nodes and sites share one set of names, as each is a namespace";
                reporter.report(Problem::new(at, message).mend(mend));
            }
        }
    }

    /// Where a node or site stands in the file.
    pub(super) fn mark(&self, name: &NodeName) -> Mark {
        self.marks.get(name).copied().unwrap_or_default()
    }

    /// Whether a node or site has this name.
    pub(super) fn is_known(&self, name: &NodeName) -> bool {
        self.marks.contains_key(name)
    }

    /// The names of all nodes and sites.
    pub(super) fn all(&self) -> impl Iterator<Item = &NodeName> {
        self.marks.keys()
    }

    /// All clients, in the order of the file.
    pub(super) fn all_clients(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter(|(_, _, what)| *what == Occupant::CLIENT).map(|(name, _, _)| name)
    }

    /// The clients that are called `word`, as a node or in the file before expansion.
    pub(super) fn clients_of(&self, word: &str) -> Vec<NodeName> {
        let meant = |(name, group, what): &&(NodeName, NodeName, Occupant)| {
            *what == Occupant::CLIENT && (name.as_str() == word || group.as_str() == word)
        };
        self.nodes.iter().filter(meant).map(|(name, _, _)| name.clone()).collect()
    }

    /// The clients that a list of names and groups means, each once.
    pub(super) fn clients(
        &self,
        words: &[Located<String>],
        place: &str,
        reporter: &Reporter,
    ) -> Vec<NodeName> {
        let mut clients: Vec<NodeName> = Vec::new();
        let mut seen = HashSet::new();
        for word in words {
            let meant = self.clients_of(&word.value);
            if meant.is_empty() {
                self.report_no_client(word, place, reporter);
            }
            for client in meant {
                if seen.insert(client.clone()) {
                    clients.push(client);
                }
            }
        }
        clients
    }

    fn report_no_client(&self, word: &Located<String>, place: &str, reporter: &Reporter) {
        let node = self
            .nodes
            .iter()
            .find(|(name, group, _)| name.as_str() == word.value || group.as_str() == word.value);
        let problem = match node {
            Some((_, _, Occupant::Unknown)) => return,
            Some(_) => Problem::new(word.at, format!("{place}: '{}' is no client", word.value))
                .mend("only clients log in: name one of them"),
            None => {
                let mut known: Vec<&str> = self.all_clients().map(NodeName::as_str).collect();
                known.extend(
                    self.nodes.iter().filter(|node| node.2 == Occupant::CLIENT).map(|node| node.1.as_str()),
                );
                known.sort_unstable();
                known.dedup();
                Problem::new(word.at, format!("{place}: no node is called '{}'", word.value))
                    .mend(did_you_mean(&word.value, known))
            }
        };
        reporter.report(problem);
    }
}

/// Reports more containers and gateways than a lab can have, before anything is expanded.
fn fits(raw: &RawTopology, reporter: &Reporter) -> bool {
    let times = |count: &Option<Located<u32>>| count.as_ref().map_or(1, |count| u64::from(count.value));
    let nodes = raw.nodes.iter().map(|node| (times(&node.count), node.name.at));
    let sites = raw.sites.iter().map(|site| {
        let nodes: u64 = site.nodes.iter().map(|node| times(&node.count)).sum();
        (times(&site.count) * (1 + nodes), site.name.at)
    });
    let entries: Vec<(u64, Mark)> = nodes.chain(sites).collect();
    let total: u64 = entries.iter().map(|(count, _)| count).sum();
    let fits = total <= u64::from(MOST_CONTAINERS);
    if !fits {
        let message = format!("the counts make {total} containers and gateways");
        let mend = format!("a lab has at most {MOST_CONTAINERS}: lower the counts");
        // The entry that makes most of them is the likeliest slip.
        let at = entries.iter().max_by_key(|(count, _)| *count).map(|(_, at)| *at).unwrap_or_default();
        reporter.report(Problem::new(at, message).mend(mend));
    }
    fits
}
