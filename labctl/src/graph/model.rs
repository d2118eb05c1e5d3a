//! What there is to draw.

use std::collections::HashMap;

use crate::names::NodeName;
use crate::plan::{Attachment, GatewayPlan, NodePlan, Plan};

/// A lab as a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The lab's name.
    pub lab: String,
    /// Its title; may be empty.
    pub title: String,
    /// The regions of the WAN with who hangs off each, in the order of the plan; none that is empty.
    pub regions: Vec<Region>,
}

/// A region of the WAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Round-trip times from here to every region that is drawn, itself included, such as `europe 25 ms`.
    pub round_trips: Vec<String>,
    /// Who hangs off it.
    pub members: Vec<Member>,
}

/// Something that is drawn as a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A node.
    Node(NodeBox),
    /// A site with what is behind its gateway.
    Site(SiteBox),
}

/// A node, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBox {
    /// Name; that of the first if there are several.
    pub name: String,
    /// The name before `count:` was expanded.
    pub group: String,
    /// How many there are.
    pub count: usize,
    /// Role, or `program`.
    pub role: &'static str,
    /// First address of the first.
    pub address: String,
    /// Addresses of each.
    pub addresses: usize,
}

/// A site, or several that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteBox {
    /// Name; that of the first if there are several.
    pub name: String,
    /// How many there are.
    pub count: usize,
    /// Name of the NAT profile.
    pub nat: String,
    /// Name of the firewall profile.
    pub firewall: String,
    /// First outside address of the first.
    pub outside: String,
    /// The access link in words; empty if it limits nothing, and for a gateway behind another.
    pub access: String,
    /// Nodes, then inner sites.
    pub members: Vec<Member>,
}

impl Picture {
    /// What there is to draw of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let index = Index::new(plan);
        let drawn: Vec<usize> =
            (0..plan.wan.regions.len()).filter(|region| index.regions.contains_key(region)).collect();
        let regions = drawn
            .iter()
            .map(|&region| Region {
                name: plan.wan.regions[region].clone(),
                round_trips: drawn.iter().map(|&other| round_trip(plan, region, other)).collect(),
                members: folded(index.region(region)),
            })
            .collect();
        Self { lab: plan.lab.to_string(), title: plan.title.clone(), regions }
    }
}

fn round_trip(plan: &Plan, from: usize, to: usize) -> String {
    let milliseconds = plan.wan.delay[from][to].as_secs_f64() * 2e3;
    format!("{} {milliseconds} ms", plan.wan.regions[to])
}

/// Who is where, looked up once, so that the work grows with the plan and not with its square.
struct Index<'a> {
    attachments: HashMap<&'a NodeName, &'a Attachment>,
    /// Attachments by region, in the order of the plan.
    regions: HashMap<usize, Vec<&'a NodeName>>,
    gateways: HashMap<&'a NodeName, &'a GatewayPlan>,
    public: HashMap<&'a NodeName, &'a NodePlan>,
    nodes_behind: HashMap<&'a NodeName, Vec<&'a NodePlan>>,
    gateways_behind: HashMap<&'a NodeName, Vec<&'a GatewayPlan>>,
}

impl<'a> Index<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut index = Self {
            attachments: plan.wan.attachments.iter().map(|one| (&one.name, one)).collect(),
            regions: HashMap::new(),
            gateways: plan.gateways.iter().map(|one| (&one.name, one)).collect(),
            public: HashMap::new(),
            nodes_behind: HashMap::new(),
            gateways_behind: HashMap::new(),
        };
        for attachment in &plan.wan.attachments {
            index.regions.entry(attachment.region).or_default().push(&attachment.name);
        }
        for node in &plan.nodes {
            match &node.gateway {
                None => drop(index.public.insert(&node.name, node)),
                Some(gateway) => index.nodes_behind.entry(gateway).or_default().push(node),
            }
        }
        for gateway in &plan.gateways {
            if let Some(outer) = &gateway.behind {
                index.gateways_behind.entry(outer).or_default().push(gateway);
            }
        }
        index
    }

    fn region(&self, region: usize) -> Vec<Member> {
        let names = self.regions.get(&region).into_iter().flatten();
        names
            .filter_map(|name| {
                let node = self.public.get(name).map(|node| Member::Node(node_box(node)));
                node.or_else(|| self.gateways.get(name).map(|gateway| Member::Site(self.site(gateway))))
            })
            .collect()
    }

    fn site(&self, gateway: &GatewayPlan) -> SiteBox {
        let nodes = self.nodes_behind.get(&gateway.name).into_iter().flatten();
        let inner = self.gateways_behind.get(&gateway.name).into_iter().flatten();
        let members = nodes
            .map(|node| Member::Node(node_box(node)))
            .chain(inner.map(|inner| Member::Site(self.site(inner))))
            .collect();
        SiteBox {
            name: gateway.name.to_string(),
            count: 1,
            nat: gateway.nat.clone(),
            firewall: gateway.firewall.clone(),
            outside: first(&gateway.outside),
            access: self.attachments.get(&gateway.name).map_or_else(String::new, |link| access(link)),
            members: folded(members),
        }
    }
}

fn node_box(node: &NodePlan) -> NodeBox {
    NodeBox {
        name: node.name.to_string(),
        group: node.group.to_string(),
        count: 1,
        role: node.role_name(),
        address: first(&node.addresses),
        addresses: node.addresses.len(),
    }
}

fn first(addresses: &[std::net::Ipv4Addr]) -> String {
    addresses.first().map(ToString::to_string).unwrap_or_default()
}

fn access(link: &Attachment) -> String {
    let (down, up) = (&link.access.down, &link.access.up);
    let rate = |word: &str, rate: Option<u64>| rate.map(|rate| format!("{word} {}", bits(rate)));
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let delay = down.delay.max(up.delay);
    let delay = (!delay.is_zero()).then(|| format!("delay {} ms", milliseconds(delay)));
    let loss = down.loss.mean().max(up.loss.mean());
    let loss = (loss > 0.0).then(|| format!("loss {} %", loss * 100.0));
    let parts = [rate("down", down.rate), rate("up", up.rate), delay, loss];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn bits(rate: u64) -> String {
    match rate {
        rate if rate.is_multiple_of(1_000_000) => format!("{} Mbit/s", rate / 1_000_000),
        rate if rate.is_multiple_of(1_000) => format!("{} kbit/s", rate / 1_000),
        rate => format!("{rate} bit/s"),
    }
}

/// Neighbours that are alike become one with their count.
fn folded(members: Vec<Member>) -> Vec<Member> {
    let mut folded: Vec<Member> = Vec::new();
    for member in members {
        match folded.last_mut() {
            Some(last) if last.is_like(&member) => last.add(&member),
            _ => folded.push(member),
        }
    }
    folded
}

impl Member {
    /// True if the two differ in nothing but name and address, and were expanded from one entry of the file.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(a), Self::Node(b)) => {
                a.group == b.group && a.role == b.role && a.addresses == b.addresses
            }
            (Self::Site(a), Self::Site(b)) => {
                stem(&a.name).is_some()
                    && stem(&a.name) == stem(&b.name)
                    && (&a.nat, &a.firewall, &a.access) == (&b.nat, &b.firewall, &b.access)
                    && a.members.len() == b.members.len()
                    && a.members.iter().zip(&b.members).all(|(a, b)| a.is_alike_in_its_site(b))
            }
            _ => false,
        }
    }

    /// The same for what is inside two sites that are alike: there also names of a group may be numbered.
    fn is_alike_in_its_site(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Node(a), Self::Node(b)) => {
                let group = |node: &NodeBox| stem(&node.group).unwrap_or(&node.group).to_owned();
                (group(a), a.role, a.count, a.addresses) == (group(b), b.role, b.count, b.addresses)
            }
            _ => self.is_like(other) && self.count() == other.count(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Node(node) => node.count,
            Self::Site(site) => site.count,
        }
    }

    fn add(&mut self, other: &Self) {
        let more = other.count();
        match self {
            Self::Node(node) => node.count += more,
            Self::Site(site) => {
                site.count += more;
                site.members.iter_mut().for_each(Self::stand_for_all);
            }
        }
    }

    /// A member of one site becomes that of several sites, in each of which it has another number.
    fn stand_for_all(&mut self) {
        if let Self::Node(node) = self {
            for name in [&mut node.name, &mut node.group] {
                *name = stem(name).unwrap_or(name).to_owned();
            }
        }
    }
}

/// `home` of `home-17`.
fn stem(name: &str) -> Option<&str> {
    let (stem, number) = name.rsplit_once('-')?;
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    numbered.then_some(stem)
}

impl NodeBox {
    /// Its name, or what several are called together.
    #[must_use]
    pub fn label(&self) -> String {
        counted(if self.count > 1 { &self.group } else { &self.name }, self.count)
    }

    /// What it does and where it is reached, for the second line.
    #[must_use]
    pub fn detail(&self) -> String {
        let address = if self.count > 1 { format!("from {}", self.address) } else { self.address.clone() };
        let role = match self.addresses {
            1 => self.role.to_owned(),
            several => format!("{several} {}s", self.role),
        };
        format!("{role}, {address}")
    }
}

impl SiteBox {
    /// Its name, or what several are called together.
    #[must_use]
    pub fn label(&self) -> String {
        let name = if self.count > 1 { stem(&self.name).unwrap_or(&self.name) } else { &self.name };
        counted(name, self.count)
    }

    /// Its gateway in words.
    #[must_use]
    pub fn gateway(&self) -> String {
        format!("NAT {}, firewall {}", self.nat, self.firewall)
    }

    /// Its outside address and access link, for the line below.
    #[must_use]
    pub fn link(&self) -> String {
        let outside = if self.count > 1 { format!("from {}", self.outside) } else { self.outside.clone() };
        if self.access.is_empty() { outside } else { format!("{outside}; {}", self.access) }
    }
}

fn counted(name: &str, count: usize) -> String {
    if count > 1 { format!("{name} × {count}") } else { name.to_owned() }
}
