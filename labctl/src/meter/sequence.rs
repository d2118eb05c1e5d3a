//! Which bytes of a TCP stream were seen already, so that a retransmission is not counted twice.

/// The ranges of sequence numbers that were seen in one direction of a connection.
///
/// It holds as many ranges as there are gaps between them: one, unless packets are lost or reordered,
/// and never more than packets were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Disjoint, not adjacent, ascending: start and end (exclusive), on a line without wrap-around.
    ranges: Vec<(i64, i64)>,
    /// Where the last segment ended. Sequence numbers are taken to lie within 2^31 of it (RFC 9293,
    /// section 3.4: a window is smaller than that).
    reference: Option<i64>,
}

impl Coverage {
    /// Notes `length` bytes that begin at sequence number `start`; gives how many of them are new.
    pub fn add(&mut self, start: u32, length: u32) -> u32 {
        let start = match self.reference {
            None => i64::from(start),
            Some(reference) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let low = reference as u32; // The low 32 bits are the sequence number.
                #[expect(clippy::cast_possible_wrap)]
                let distance = start.wrapping_sub(low) as i32; // Ahead or behind, the shorter way.
                reference + i64::from(distance)
            }
        };
        let end = start + i64::from(length);
        self.reference = Some(end);
        if length == 0 {
            return 0;
        }
        // All ranges that touch the new one become one with it.
        let first = self.ranges.partition_point(|&(_, e)| e < start);
        let last = self.ranges.partition_point(|&(s, _)| s <= end);
        let touched = &self.ranges[first..last];
        let known: i64 = touched.iter().map(|&(s, e)| (e.min(end) - s.max(start)).max(0)).sum();
        let merged = match (touched.first(), touched.last()) {
            (Some(&(s, _)), Some(&(_, e))) => (s.min(start), e.max(end)),
            _ => (start, end),
        };
        self.ranges.splice(first..last, [merged]);
        u32::try_from(i64::from(length) - known).unwrap_or(length) // It is between 0 and `length`.
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_in_order_are_all_new() {
        let mut seen = Coverage::default();
        assert_eq!(seen.add(1000, 100), 100);
        assert_eq!(seen.add(1100, 50), 50);
        assert_eq!(seen.ranges.len(), 1);
    }

    #[test]
    fn a_retransmission_is_not_new_and_one_that_goes_further_is_new_where_it_does() {
        let mut seen = Coverage::default();
        seen.add(1000, 100);
        assert_eq!(seen.add(1000, 100), 0);
        assert_eq!(seen.add(1050, 100), 50);
    }

    #[test]
    fn a_gap_is_filled_once() {
        let mut seen = Coverage::default();
        seen.add(0, 10);
        seen.add(20, 10);
        assert_eq!(seen.add(5, 20), 10);
        assert_eq!(seen.ranges.len(), 1);
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        let mut seen = Coverage::default();
        assert_eq!(seen.add(u32::MAX - 9, 20), 20);
        assert_eq!(seen.add(0, 10), 0);
        assert_eq!(seen.add(10, 5), 5);
        assert_eq!(seen.add(u32::MAX - 19, 10), 10);
        assert_eq!(seen.ranges.len(), 1);
    }

    #[test]
    fn a_keep_alive_probe_repeats_a_byte() {
        let mut seen = Coverage::default();
        seen.add(1000, 100);
        assert_eq!(seen.add(1099, 1), 0);
        assert_eq!(seen.add(1099, 0), 0);
    }

    proptest! {
        #[test]
        fn what_is_new_adds_up_to_what_a_set_of_bytes_holds(
            origin in any::<u32>(),
            segments in proptest::collection::vec((0u32..300, 0u32..40), 1..60),
        ) {
            let mut seen = Coverage::default();
            let mut model = std::collections::BTreeSet::new();
            let mut new = 0;
            for (start, length) in segments {
                new += seen.add(origin.wrapping_add(start), length);
                model.extend(start..start + length);
            }
            prop_assert_eq!(new as usize, model.len());
        }

        #[test]
        fn any_sequence_numbers_are_taken(segments in proptest::collection::vec((any::<u32>(), 0u32..70_000), 0..60)) {
            let mut seen = Coverage::default();
            for (start, length) in segments {
                prop_assert!(seen.add(start, length) <= length);
            }
        }
    }
}
