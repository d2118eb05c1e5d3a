//! A connection to the kernel's routing and link tables of one namespace.

use std::sync::Arc;

use super::{NetError, NetNs};

/// Requests about the links, addresses and routes of one namespace, over one socket that was opened
/// inside it. Clones share the socket; requests may be made at the same time. The namespace lives for as
/// long as a clone does.
#[derive(Clone, Debug)]
pub struct Netlink {
    namespace: Arc<str>,
    pub(super) handle: rtnetlink::Handle,
}

impl Netlink {
    /// Opens the connection and leaves it to the async runtime that the caller is in.
    pub async fn open(namespace: &NetNs) -> Result<Self, NetError> {
        let opened = namespace.run_async(rtnetlink::new_connection).await?;
        let (connection, handle, _) = opened.map_err(|source| NetError::Namespace {
            name: namespace.name().to_owned(),
            action: "open a netlink socket in it",
            source,
        })?;
        // It ends by itself when the last clone of the handle is dropped.
        tokio::spawn(connection);
        Ok(Self { namespace: namespace.name().into(), handle })
    }

    /// Name of the namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn failed(&self, action: impl Into<String>, error: &rtnetlink::Error) -> NetError {
        let (reason, errno) = match error {
            rtnetlink::Error::NetlinkError(message) => {
                (message.to_io().to_string(), message.raw_code().abs())
            }
            other => (other.to_string(), 0),
        };
        NetError::Netlink { namespace: self.namespace.to_string(), action: action.into(), reason, errno }
    }
}
