//! Traces of resizes in a guest, by the virtio layer.

use instar_ops::ResizeRequest;
use instar_vmm::{Change, Kvm};
use oracle_crash::{Engine, Image, Op, Trace, Traced};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// instar's code in a KVM guest, on a file.
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
        let path = dir.join("guest.img");
        image.store(&path).map_err(|e| e.to_string())?;
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| e.to_string())?;
        let trace = Arc::new(Mutex::new(Trace::new()));
        let seen = Arc::clone(&trace);
        let observer = move |change: Change<'_>| {
            if let Ok(mut trace) = seen.lock() {
                note(&mut trace, change);
            }
            None
        };
        let kvm = Kvm::open().map_err(|e| e.to_string())?.with_observer(observer);
        let outcome =
            kvm.resize(&file, request).map_err(|e| e.to_string())?.result.map_err(|e| e.to_string());
        drop(kvm);
        let trace = std::mem::take(&mut *trace.lock().map_err(|e| e.to_string())?);
        let mut told = image.clone();
        trace.apply(&mut told);
        let file = Image::load(&path).map_err(|e| e.to_string())?;
        if told.hash() != file.hash() {
            return Err("the guest's requests do not lead to the file that it left".into());
        }
        Ok(Traced::finished(trace, outcome, request, image))
    }
}

fn note(trace: &mut Trace, change: Change) {
    match change {
        Change::Write { offset, data } => trace.push(Op::Write { offset, data: data.to_vec() }),
        Change::Zero { offset, len, unmap } => trace.push(Op::Zero { offset, len, unmap }),
        Change::Flush => trace.flush(),
    }
}
