//! What a guest answers, message by message.

use crate::believe;
use crate::error::VmmError;
use crate::image::Seen;
use crate::kvm::{Finished, Stats};
use crate::machine::Listener;
use crate::mailbox;
use instar_abi::message::GuestMessage_::Payload;
use instar_ops::{CheckFinding, OpError, wire};

/// Hears a guest in the process that wants its answer.
pub(crate) struct Here<'s> {
    /// Gets every message.
    pub(crate) sink: &'s mut dyn FnMut(Payload) -> Result<(), VmmError>,
    /// Gets every line of debug text.
    pub(crate) log: fn(&str),
}

impl Listener for Here<'_> {
    fn messages(&mut self, bytes: &[u8]) -> Result<(), VmmError> {
        mailbox::decode(bytes, self.sink)
    }

    fn log(&mut self, line: &str) -> Result<(), VmmError> {
        (self.log)(line);
        Ok(())
    }
}

/// Most findings of a check: a bound for a guest that never ends, beyond any image worth checking.
const MAX_FINDINGS: usize = 1 << 24;

/// A result as it comes, once.
pub(crate) struct Once<T> {
    pub(crate) result: Option<Result<T, OpError>>,
    /// Whether the image may have been repaired before the operation was refused.
    pub(crate) repairs: bool,
}

impl<T> Once<T> {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { result: None, repairs: false }
    }

    /// Takes it from the wire.
    pub(crate) fn set(&mut self, result: Option<Result<T, OpError>>) -> Result<(), VmmError> {
        self.result = Some(result.ok_or(VmmError::MalformedResult("a number in it means nothing"))?);
        Ok(())
    }

    /// Nothing may come after the result.
    pub(crate) fn open(&self) -> Result<(), VmmError> {
        if self.result.is_none() {
            Ok(())
        } else {
            Err(VmmError::MalformedResult("it comes after the result"))
        }
    }

    /// The result, if it can be true as far as `believe` can say.
    pub(crate) fn finish(
        self,
        (stats, seen): (Stats, Seen),
        believe: impl FnOnce(&T, &Seen) -> Result<(), VmmError>,
    ) -> Result<Finished<T>, VmmError> {
        let result = believe::result(self.result.ok_or(VmmError::MissingResult)?, &seen, self.repairs)?;
        if let Ok(outcome) = &result {
            believe(outcome, &seen)?;
        }
        Ok(Finished { result, stats })
    }
}

/// Where findings go, and how many went there.
pub(crate) struct Findings<'f> {
    pub(crate) told: usize,
    /// Who hears of them.
    pub(crate) to: &'f mut dyn FnMut(CheckFinding),
}

impl Findings<'_> {
    /// Passes one on from the wire.
    pub(crate) fn pass(&mut self, payload: &Payload) -> Result<(), VmmError> {
        let Payload::CheckFinding(message) = payload else {
            return Err(FOREIGN);
        };
        self.told += 1;
        if self.told > MAX_FINDINGS {
            return Err(VmmError::MalformedResult("there is no end to its findings"));
        }
        let finding = wire::finding_from_wire(message);
        (self.to)(finding.ok_or(VmmError::MalformedResult("a number in it means nothing"))?);
        Ok(())
    }
}

/// A message that the operation does not have.
pub(crate) const FOREIGN: VmmError = VmmError::MalformedResult("it is none of this operation's");
