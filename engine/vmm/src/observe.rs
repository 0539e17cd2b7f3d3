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

type Watch = dyn Fn(usize, Change<'_>) -> Option<i32> + Send + Sync;

/// What is told of every change, and may let it fail; often nobody.
#[derive(Clone)]
pub struct Observer {
    watch: Option<Arc<Watch>>,
    /// The number of the file that it is told of, counted as a job's files are: 0 is the image.
    file: usize,
    /// Whether it is told of other files than the image.
    of_all: bool,
}

impl Observer {
    /// Nobody.
    pub const fn none() -> Self {
        Self { watch: None, file: 0, of_all: false }
    }

    /// Tells `watch` of changes of the image; what that returns is the errno with which the change fails.
    pub fn new(watch: impl Fn(Change<'_>) -> Option<i32> + Send + Sync + 'static) -> Self {
        let watch = move |_, change: Change<'_>| watch(change);
        Self { watch: Some(Arc::new(watch)), file: 0, of_all: false }
    }

    /// The same of every file of a job, with its number: the image, its data file, each layer with its own data file, the
    /// extents.
    pub fn of_all(watch: impl Fn(usize, Change<'_>) -> Option<i32> + Send + Sync + 'static) -> Self {
        Self { watch: Some(Arc::new(watch)), file: 0, of_all: true }
    }

    /// What the file of this number is given of it.
    pub(crate) fn of_file(&self, file: usize) -> Self {
        if file == 0 || self.of_all { Self { file, ..self.clone() } } else { Self::none() }
    }

    /// Whether there is anybody.
    pub const fn is_some(&self) -> bool {
        self.watch.is_some()
    }

    /// Tells of `change`.
    ///
    /// # Errors
    /// It shall fail with this.
    pub fn tell(&self, change: Change<'_>) -> io::Result<()> {
        match self.watch.as_ref().and_then(|watch| watch(self.file, change)) {
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
