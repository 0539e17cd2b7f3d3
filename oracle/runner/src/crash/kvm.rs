//! Resizes in a guest, recorded and made to fail by the virtio layer.

use instar_ops::{OpError, ResizeOutcome, ResizeRequest};
use instar_vmm::{Change, Kvm};
use oracle_crash::{Engine, Failed, Failure, Image, Op, Trace, Traced};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The name of the image that a guest resizes.
const IMAGE: &str = "guest.img";

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
        let trace = Arc::new(Mutex::new(Trace::new()));
        let seen = Arc::clone(&trace);
        let watch = move |change: Change<'_>| {
            if let Ok(mut trace) = seen.lock() {
                note(&mut trace, change);
            }
            None
        };
        let (file, result) = run(image, request, dir, watch)?;
        let trace = std::mem::take(&mut *trace.lock().map_err(|e| e.to_string())?);
        let mut told = image.clone();
        trace.apply(&mut told);
        if told.hash() != file.hash() {
            return Err("the guest's requests do not lead to the file that it left".into());
        }
        Ok(Traced::finished(trace, result.map_err(|e| e.to_string()), request, image))
    }

    fn fail(
        &self,
        image: &Image,
        request: &ResizeRequest,
        dir: &Path,
        call: usize,
        failure: Failure,
    ) -> Result<Option<Failed>, String> {
        let calls = Arc::new(AtomicUsize::new(0));
        let (counter, path) = (Arc::clone(&calls), dir.join(IMAGE));
        let watch = move |change: Change<'_>| {
            let now = counter.fetch_add(1, Ordering::Relaxed);
            let fails = now == call || (now > call && failure.lasts());
            fails.then(|| fault(&path, change, failure))
        };
        let (image, result) = run(image, request, dir, watch)?;
        let calls = calls.load(Ordering::Relaxed);
        if calls <= call {
            return Err(format!(
                "the guest's device has {calls} changes and flushes now, not more than {call}"
            ));
        }
        Ok(Some(Failed { image, result: result.map(|_| ()) }))
    }
}

/// Resizes a copy of `image` with `watch` told of all that the guest asks for; what became of it, and the answer.
fn run(
    image: &Image,
    request: &ResizeRequest,
    dir: &Path,
    watch: impl Fn(Change<'_>) -> Option<i32> + Send + Sync + 'static,
) -> Result<(Image, Result<ResizeOutcome, OpError>), String> {
    let path = dir.join(IMAGE);
    image.store(&path).map_err(|e| e.to_string())?;
    let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| e.to_string())?;
    let kvm = Kvm::open().map_err(|e| e.to_string())?.with_observer(watch);
    let finished = kvm.resize(&file, request).map_err(|e| e.to_string())?;
    Ok((Image::load(&path).map_err(|e| e.to_string())?, finished.result))
}

/// Does what a change that fails like that still does, and gives its errno.
fn fault(path: &Path, change: Change, failure: Failure) -> i32 {
    if let (Change::Write { offset, data }, Failure::Short(_)) = (change, failure)
        && let Ok(file) = OpenOptions::new().write(true).open(path)
    {
        // If it cannot be written, the fault is one that leaves nothing: as good as another.
        let _ = file.write_all_at(&data[..Failure::landed(data.len())], offset);
    }
    let (Failure::Errno(errno) | Failure::Short(errno)) = failure;
    errno.cast_signed()
}

fn note(trace: &mut Trace, change: Change) {
    match change {
        Change::Write { offset, data } => trace.push(Op::Write { offset, data: data.to_vec() }),
        Change::Zero { offset, len, unmap } => trace.push(Op::Zero { offset, len, unmap }),
        Change::Flush => trace.flush(),
    }
}
