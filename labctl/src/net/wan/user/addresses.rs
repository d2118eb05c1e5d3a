//! Whose an address is.

use std::net::Ipv4Addr;

use super::super::AttachmentId;
use crate::plan::WanPlan;

/// The addresses of a WAN's network: a look-up takes the same time however many attachments there are.
#[derive(Debug)]
pub struct Addresses {
    first: u32,
    /// Number of the attachment plus one; 0 is nobody.
    owners: Vec<u32>,
}

impl Addresses {
    /// Those of a plan.
    #[must_use]
    pub fn new(plan: &WanPlan) -> Self {
        let first = plan.network.to_bits();
        let size = 1_usize << (32 - u32::from(plan.prefix.clamp(1, 32)));
        let mut owners = Vec::new();
        for (owner, attachment) in (1_u32..).zip(&plan.attachments) {
            for address in &attachment.addresses {
                let Some(place) = place(first, *address).filter(|place| *place < size) else { continue };
                if owners.len() <= place {
                    owners.resize(place + 1, 0);
                }
                owners[place] = owner;
            }
        }
        Self { first, owners }
    }

    /// The attachment that has an address.
    #[must_use]
    pub fn owner(&self, address: Ipv4Addr) -> Option<AttachmentId> {
        let owner = *self.owners.get(place(self.first, address)?)?;
        owner.checked_sub(1).and_then(|owner| usize::try_from(owner).ok()).map(AttachmentId)
    }
}

fn place(first: u32, address: Ipv4Addr) -> Option<usize> {
    usize::try_from(address.to_bits().checked_sub(first)?).ok()
}
