//! Why a trial does not count.

use super::control::ControlError;
use super::record::{Failure, FailureReason};
use crate::meter::CaptureError;

/// What a trial stopped at: the kind of reason, and what exactly.
#[derive(Debug)]
pub(super) struct Stopped(pub FailureReason, pub String);

impl From<ControlError> for Stopped {
    fn from(error: ControlError) -> Self {
        Self(FailureReason::Control, error.to_string())
    }
}

impl From<CaptureError> for Stopped {
    fn from(error: CaptureError) -> Self {
        Self(FailureReason::Meter, error.to_string())
    }
}

impl From<Stopped> for Failure {
    fn from(Stopped(reason, detail): Stopped) -> Self {
        Self { reason, detail }
    }
}
