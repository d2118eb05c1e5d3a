//! Programs of nodes: whether what their placeholders name is there.

use super::super::DEFAULT_OUTSIDE_ADDRESSES;
use super::super::fields::{Located, Reporter};
use super::super::problem::{Problem, did_you_mean};
use super::super::program::{HealthCheck, Program, Template};
use super::super::read::{RawKind, RawNode, RawProgram, RawTopology};
use super::names::Names;
use crate::names::NodeName;

/// The program of a topology.
pub(super) fn resolve(raw: &RawProgram) -> Program {
    Program {
        image: raw.image.clone(),
        command: raw.command.iter().map(|word| word.value.clone()).collect(),
        environment: raw.environment.iter().map(|(name, text)| (name.clone(), text.value.clone())).collect(),
        root: raw.root.clone(),
        mounts: raw.mounts.clone(),
        restart: raw.restart,
        health: raw.health.as_ref().map(|health| HealthCheck {
            command: health.command.iter().map(|word| word.value.clone()).collect(),
            interval: health.interval,
            timeout: health.timeout,
            retries: health.retries,
            start_period: health.start_period,
        }),
    }
}

/// Checks the placeholders of every program.
pub(super) fn check(raw: &RawTopology, names: &Names, reporter: &Reporter) {
    let holders = Holders { raw, names };
    for node in raw.nodes.iter().chain(raw.sites.iter().flat_map(|site| &site.nodes)) {
        let RawKind::Program(program) = &node.kind else { continue };
        for word in &program.command {
            check_text(node, "command", word, &holders, reporter);
        }
        for word in program.health.iter().flat_map(|health| &health.command) {
            check_text(node, "health: command", word, &holders, reporter);
        }
        for (name, text) in &program.environment {
            check_text(node, &format!("environment: '{name}'"), text, &holders, reporter);
        }
    }
}

fn check_text(
    node: &RawNode,
    key: &str,
    text: &Located<Template>,
    holders: &Holders<'_>,
    reporter: &Reporter,
) {
    for (of, index) in text.value.addresses() {
        let found = match of {
            None => Ok(node.addresses),
            Some(name) => holders.addresses(name),
        };
        let (message, mend) = match found {
            Ok(count) if index < usize::from(count) => continue,
            Ok(count) => {
                let whose = of.map_or_else(|| "the node".to_owned(), |name| format!("'{name}'"));
                let number = index + 1;
                let plural = if count == 1 { "address" } else { "addresses" };
                let message = format!("{whose} has {count} {plural}, so that there is no address {number}");
                (message, "give it more with addresses:, or ask for one that it has".to_owned())
            }
            Err(mend) => {
                let name = of.map(NodeName::as_str).unwrap_or_default();
                (format!("no node or site is called '{name}'"), mend)
            }
        };
        let message = format!("node {}: {key}: {message}", node.name.value);
        reporter.report(Problem::new(text.at, message).mend(mend));
    }
}

/// Who has addresses.
struct Holders<'a> {
    raw: &'a RawTopology,
    names: &'a Names,
}

impl Holders<'_> {
    /// How many addresses a node or gateway has; else what mends the name.
    fn addresses(&self, name: &NodeName) -> Result<u16, String> {
        if !self.names.is_known(name) {
            let groups = self.raw.sites.iter().flat_map(|site| {
                let nodes = site.nodes.iter().map(|node| &node.name.value);
                nodes.chain([&site.name.value])
            });
            let mut groups = groups.chain(self.raw.nodes.iter().map(|node| &node.name.value));
            if groups.any(|group| group == name) {
                return Err(format!("'{name}' stands for several: name one of them, such as {name}-1"));
            }
            let mut known: Vec<&str> = self.names.all().map(NodeName::as_str).collect();
            known.sort_unstable();
            return Err(did_you_mean(name.as_str(), known));
        }
        let public = self.raw.nodes.iter().zip(&self.names.public);
        if let Some((node, _)) = public.into_iter().find(|(_, expanded)| has(expanded, name)) {
            return Ok(node.addresses);
        }
        let mut sites = self.raw.sites.iter().zip(&self.names.sites);
        Ok(sites.find(|(_, expanded)| has(expanded, name)).map_or(1, |(site, _)| {
            site.outside_addresses.as_ref().map_or(DEFAULT_OUTSIDE_ADDRESSES, |count| count.value)
        }))
    }
}

fn has(expanded: &[super::names::Instance], name: &NodeName) -> bool {
    expanded.iter().any(|instance| instance.name == *name)
}
