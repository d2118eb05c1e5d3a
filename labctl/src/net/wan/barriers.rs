//! Partitions: who cannot reach whom.

use super::AttachmentId;

/// The partitions in force. Each has sides; packets from one side of it to another do not pass. Who is on no side of
/// a partition is not concerned by it.
#[derive(Clone, Debug, Default)]
pub struct Barriers {
    /// For each partition, the side of each attachment.
    partitions: Vec<Vec<Option<u16>>>,
}

impl Barriers {
    /// Adds a partition. An attachment that is on several sides is on the last of them.
    pub fn add(&mut self, attachments: usize, sides: &[Vec<AttachmentId>]) {
        let mut of = vec![None; attachments];
        for (side, members) in (0_u16..).zip(sides) {
            for AttachmentId(id) in members {
                if let Some(at) = of.get_mut(*id) {
                    *at = Some(side);
                }
            }
        }
        self.partitions.push(of);
    }

    /// Removes all partitions.
    pub fn clear(&mut self) {
        self.partitions.clear();
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.partitions.len()
    }

    /// Whether packets between two attachments are stopped.
    #[must_use]
    pub fn stop(&self, AttachmentId(a): AttachmentId, AttachmentId(b): AttachmentId) -> bool {
        self.partitions.iter().any(|side| match (side.get(a), side.get(b)) {
            (Some(Some(a)), Some(Some(b))) => a != b,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_stop_between_sides_and_nowhere_else() {
        let ids: Vec<_> = (0..4).map(AttachmentId).collect();
        let mut barriers = Barriers::default();
        barriers.add(4, &[vec![ids[0], ids[1]], vec![ids[2]]]);
        let stopped = |barriers: &Barriers| -> Vec<(usize, usize)> {
            let pairs = ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b)));
            pairs.filter(|(a, b)| barriers.stop(*a, *b)).map(|(a, b)| (a.0, b.0)).collect()
        };
        assert_eq!(stopped(&barriers), [(0, 2), (1, 2), (2, 0), (2, 1)]);
        barriers.add(4, &[vec![ids[0]], vec![ids[1]]]);
        assert!(barriers.stop(ids[0], ids[1]), "partitions add up");
        barriers.clear();
        assert_eq!(stopped(&barriers), []);
    }
}
