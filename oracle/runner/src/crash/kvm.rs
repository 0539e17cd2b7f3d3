//! Resizes in guests, recorded and made to fail by the virtio layer.

use super::guest::{Fate, Guest};
use instar_ops::ResizeRequest;
use instar_vmm::Kvm;
use oracle_crash::{Engine, Failed, Failure, Image, Traced, job};
use std::path::Path;

/// instar's code in KVM guests, on files.
pub struct InGuest;

impl InGuest {
    /// Tries whether this machine has a usable KVM.
    ///
    /// # Errors
    /// It has none.
    pub fn open() -> anyhow::Result<Self> {
        Kvm::open()?;
        Ok(Self)
    }
}

impl Engine for InGuest {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn resize(&self, image: &Image, request: &ResizeRequest, dir: &Path) -> Result<Traced, String> {
        let (mut copy, mut guest) = (image.clone(), Guest::new(dir, None));
        let outcome = job(&mut copy, request, &mut guest);
        let (trace, calls) = guest.seen()?;
        let mut told = image.clone();
        trace.apply(&mut told);
        if told.hash() != copy.hash() {
            return Err("the guest's requests do not lead to the files that it left".into());
        }
        let traced = Traced::finished(trace, outcome.map_err(|e| e.to_string()), request, image);
        Ok(Traced { calls, ..traced })
    }

    fn fail(
        &self,
        image: &Image,
        request: &ResizeRequest,
        dir: &Path,
        call: usize,
        failure: Failure,
    ) -> Result<Option<Failed>, String> {
        let mut copy = image.clone();
        let mut guest = Guest::new(dir, Some(Fate { call, failure }));
        let result = job(&mut copy, request, &mut guest).map(|_| ());
        let calls = guest.seen()?.1.len();
        if calls <= call {
            return Err(format!(
                "the guest's device has {calls} changes and flushes now, not more than {call}"
            ));
        }
        Ok(Some(Failed { image: copy, result }))
    }
}
