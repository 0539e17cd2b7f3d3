//! Watching what a guest does to an image.

use std::fmt;
use std::io;
use std::sync::Arc;

/// A change of an image that a guest asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Bytes are written.
    Write {
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: &'a [u8],
    },
    /// A range becomes zeros.
    Zero {
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
        /// Whether its space is given back.
        unmap: bool,
    },
    /// Everything before it becomes durable.
    Flush,
}

type Watch = dyn Fn(Change<'_>) -> Option<i32> + Send + Sync;

/// What is told of every change, and may let it fail; often nobody.
#[derive(Clone)]
pub struct Observer(Option<Arc<Watch>>);

impl Observer {
    /// Nobody.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Tells `watch`; what that returns is the errno with which the change fails.
    pub fn new(watch: impl Fn(Change<'_>) -> Option<i32> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// Whether there is anybody.
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Tells of `change`.
    ///
    /// # Errors
    /// It shall fail with this.
    pub fn tell(&self, change: Change<'_>) -> io::Result<()> {
        match self.0.as_ref().and_then(|watch| watch(change)) {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_some() { "Observer(somebody)" } else { "Observer(nobody)" })
    }
}
