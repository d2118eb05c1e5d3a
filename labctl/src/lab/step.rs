//! The steps of making and removing a lab, and who is told of them. The library itself prints nothing.

/// A step that takes long enough to be told of. Several run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Looks whether this machine has what a lab needs.
    Check,
    /// Makes keys and writes the nodes' configurations.
    Configurations,
    /// Makes the node image, or finds it.
    Image,
    /// Makes the WAN and the gateways.
    Network,
    /// Starts the nodes' containers and connects each to the network.
    Nodes,
    /// Waits until every overlay node answers on its control socket, and lets the other programs start.
    Ready,
    /// Removes containers.
    RemoveNodes,
    /// Ends the background process and removes namespaces.
    RemoveNetwork,
    /// Removes the lab's directory.
    RemoveDirectory,
}

impl Step {
    /// What is being done, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Check => "checking this machine",
            Self::Configurations => "writing the nodes' configurations",
            Self::Image => "preparing the node image",
            Self::Network => "making the WAN and the gateways",
            Self::Nodes => "starting and connecting nodes",
            Self::Ready => "waiting for the nodes to answer",
            Self::RemoveNodes => "removing containers",
            Self::RemoveNetwork => "removing the network",
            Self::RemoveDirectory => "removing the lab's directory",
        }
    }
}

/// Is told what is going on.
pub trait Observer: Send + Sync {
    /// A step begins; it has `total` parts, 0 if it cannot be divided.
    fn begin(&self, step: Step, total: usize);
    /// One more part of a step is done.
    fn advance(&self, step: Step);
    /// A step is done; `detail` says what came of it, and may be empty.
    fn end(&self, step: Step, detail: &str);
}

/// Tells nobody.
impl Observer for () {
    fn begin(&self, _: Step, _: usize) {}
    fn advance(&self, _: Step) {}
    fn end(&self, _: Step, _: &str) {}
}
