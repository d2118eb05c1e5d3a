//! Stops a piece of work with many parts side by side: at the first error nothing new is begun, and what
//! has begun is brought to its end, so that what it made can be found and removed.

use std::sync::{Mutex, PoisonError};

use super::LabError;

/// Why the work stops, if it does.
#[derive(Debug, Default)]
pub(super) struct Stop(Mutex<Option<LabError>>);

impl Stop {
    /// Stops the work. The first reason counts.
    pub(super) fn set(&self, error: LabError) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// True if the work stops.
    pub(super) fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The reason, if the work stopped.
    pub(super) fn into_error(self) -> Option<LabError> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of the work: not begun if the work stops, and its error stops the work.
    pub(super) async fn unit<T>(&self, part: impl Future<Output = Result<T, LabError>>) -> Option<T> {
        if self.is_set() {
            return None;
        }
        part.await.map_err(|error| self.set(error)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn after_an_error_nothing_new_begins_and_the_first_reason_counts() {
        let stop = Stop::default();
        assert_eq!(stop.unit(async { Ok(1) }).await, Some(1));
        assert_eq!(stop.unit::<()>(async { Err(LabError::NoLab) }).await, None);
        let begun = Cell::new(false);
        let part = async {
            begun.set(true);
            Ok(())
        };
        assert_eq!(stop.unit(part).await, None);
        assert!(!begun.get());
        stop.set(LabError::Interrupted { signal: "SIGINT" });
        assert!(matches!(stop.into_error(), Some(LabError::NoLab)));
    }
}
