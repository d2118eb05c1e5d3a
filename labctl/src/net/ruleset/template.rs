//! The rules of one gateway as a pattern for others', whose rules differ in their outside addresses only.

use std::net::Ipv4Addr;

use super::super::wire::Batch;
use super::snapshot::Snapshot;

/// What a gateway's rules have become in the kernel.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Its outside addresses.
    pub(super) outside: Vec<Ipv4Addr>,
    /// Its rules.
    pub(super) rules: Snapshot,
}

/// The messages that make a gateway's rules, with the places of its outside addresses in them.
#[derive(Clone, Debug)]
pub(super) struct Template {
    sample: Sample,
    batch: Batch,
    /// Offset in the batch, and number of the outside address that is there.
    places: Vec<(usize, usize)>,
}

impl Template {
    /// What two gateways teach. Where the one has its addresses the other must have its own, and all else
    /// must be the same: so four bytes that look like an address by chance are not taken for one. `None`
    /// if the two do not show that.
    pub(super) fn learn(one: &Sample, other: &Sample) -> Option<Self> {
        let differ = one.outside.iter().zip(&other.outside).all(|(one, other)| one != other);
        if one.outside.len() != other.outside.len() || !differ {
            return None;
        }
        let template = Self::of(one);
        let seen: usize = one.rules.contents().map(|content| find(content, &one.outside).count()).sum();
        let alike = template.expected(&other.outside).sorted() == other.rules.sorted();
        (seen == template.places.len() && alike).then_some(template)
    }

    fn of(sample: &Sample) -> Self {
        let batch = sample.rules.batch();
        let places = find(batch.bytes(), &sample.outside).collect();
        Self { sample: sample.clone(), batch, places }
    }

    /// The messages for a gateway with these outside addresses, as many as the samples had.
    pub(super) fn batch(&self, outside: &[Ipv4Addr]) -> Batch {
        let mut batch = self.batch.clone();
        let bytes = batch.bytes_mut();
        for &(place, index) in &self.places {
            bytes[place..place + 4].copy_from_slice(&outside[index].octets());
        }
        batch
    }

    /// What such a gateway then has in the kernel.
    pub(super) fn expected(&self, outside: &[Ipv4Addr]) -> Snapshot {
        self.sample.rules.map(|content| {
            let places: Vec<_> = find(content, &self.sample.outside).collect();
            for (place, index) in places {
                content[place..place + 4].copy_from_slice(&outside[index].octets());
            }
        })
    }
}

/// Where the addresses are: offset, and which.
fn find<'a>(bytes: &'a [u8], addresses: &'a [Ipv4Addr]) -> impl Iterator<Item = (usize, usize)> + 'a {
    bytes.windows(4).enumerate().filter_map(|(place, window)| {
        let index = addresses.iter().position(|address| address.octets() == window)?;
        Some((place, index))
    })
}
