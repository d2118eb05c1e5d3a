//! Memory for packets that wait. What has been sent is used again, so that under load nothing is asked of the
//! allocator, and none of the memory has to be had from the kernel anew.

use std::rc::Rc;

/// Room for a small packet: of speech, an acknowledgement, a query.
const SMALL: usize = 256;
/// Room for any packet that a link carries.
const LARGE: usize = 1536;
/// Places of each size that are kept for packets to come. More only lie idle after a flood.
const KEPT: usize = 4096;

/// A packet that waits. Copies share its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    place: Rc<[u8]>,
    length: usize,
}

impl Packet {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.place[..self.length]
    }
}

/// Places for packets.
#[derive(Debug, Default)]
pub struct Pool {
    small: Vec<Rc<[u8]>>,
    large: Vec<Rc<[u8]>>,
}

impl Pool {
    /// A packet of these bytes, as `change` leaves them.
    pub fn packet(&mut self, bytes: &[u8], change: impl FnOnce(&mut [u8])) -> Packet {
        let length = bytes.len();
        let size = [SMALL, LARGE].into_iter().find(|size| length <= *size).unwrap_or(length);
        // Only what nobody shares is kept; it is looked all the same, so that no packet can be written over.
        let kept = self.kept(size).and_then(Vec::pop).filter(|place| Rc::strong_count(place) == 1);
        let mut place = kept.unwrap_or_else(|| vec![0; size].into());
        if let Some(place) = Rc::get_mut(&mut place) {
            place[..length].copy_from_slice(bytes);
            change(&mut place[..length]);
        }
        Packet { place, length }
    }

    /// Takes the place of a packet back, if no copy of it waits any more.
    pub fn take_back(&mut self, Packet { place, .. }: Packet) {
        if let Some(kept) = self.kept(place.len())
            && kept.len() < KEPT
            && Rc::strong_count(&place) == 1
        {
            kept.push(place);
        }
    }

    /// The places of a size that are kept.
    fn kept(&mut self, size: usize) -> Option<&mut Vec<Rc<[u8]>>> {
        match size {
            SMALL => Some(&mut self.small),
            LARGE => Some(&mut self.large),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_once_no_copy_waits() {
        let mut pool = Pool::default();
        for length in [0, 1, SMALL, SMALL + 1, 1500, LARGE, LARGE + 1, 9000] {
            let bytes = vec![1; length];
            let first = pool.packet(&bytes, |bytes| bytes.fill(2));
            assert_eq!(first.bytes(), vec![2; length]);
            let copy = first.clone();
            pool.take_back(first);
            let second = pool.packet(&bytes, |_| {});
            assert_eq!((copy.bytes(), second.bytes()), (&vec![2; length][..], &bytes[..]));
            pool.take_back(copy);
            pool.take_back(second);
        }
        assert_eq!((pool.small.len(), pool.large.len()), (2, 2));
        let places: Vec<_> = (0..2).map(|_| pool.packet(&[7], |_| {})).collect();
        assert_eq!((pool.small.len(), places[0].bytes(), places[1].bytes()), (0, &[7][..], &[7][..]));
    }
}
