//! The disks behind an image, which nobody writes to.

use std::io;
use std::path::Path;

use instar_ops::disk::IoError;
use instar_ops::{Companions, Disk, Format, Layer, ReadAt};
use oracle_case::parts::backing_name;
use oracle_case::{Backing, BackingFormat, Content, Fixture};

use crate::image::Image;

/// The files of a backing chain, and what a guest sees of them.
#[derive(Debug, Default)]
pub struct Beside {
    layers: Vec<(Format, Image)>,
    /// What the first of them holds.
    pub content: Option<Content>,
}

impl Beside {
    /// Reads what belongs to `fixture` from the directory that it was built in.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn load(fixture: &Fixture, dir: &Path) -> io::Result<Self> {
        let chain = fixture.backing.iter().flat_map(Backing::chain).enumerate();
        let layers = chain.map(|(depth, backing)| {
            let format = match backing.format {
                BackingFormat::Raw => Format::Raw,
                BackingFormat::Qcow2 => Format::Qcow2,
            };
            Ok((format, Image::load(&dir.join(backing_name(depth)))?))
        });
        let layers = layers.collect::<io::Result<_>>()?;
        Ok(Self { layers, content: fixture.backing.as_ref().map(Backing::content) })
    }

    /// Writes the files to `dir`, under the names by which their overlays name them.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        let mut layers = self.layers.iter().enumerate();
        layers.try_for_each(|(depth, (_, image))| image.store(&dir.join(backing_name(depth))))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Format and file name of each, the one right behind the image first.
    pub fn layers(&self) -> impl Iterator<Item = (Format, String)> + '_ {
        self.layers.iter().enumerate().map(|(depth, (format, _))| (*format, backing_name(depth)))
    }

    /// Lets `job` have these with the image's own other files.
    pub(crate) fn with_companions<T, F: Disk>(
        &self,
        data_file: Option<&mut F>,
        extents: &mut [F],
        job: impl FnOnce(&mut Companions<'_, '_>) -> T,
    ) -> T {
        let mut files: Vec<_> = self.layers.iter().map(|(_, image)| ReadOnly(image)).collect();
        let formats = self.layers.iter().map(|(format, _)| *format);
        let layer = |(file, format)| Layer { file, data_file: None, format };
        let files = files.iter_mut().map(|file| file as &mut dyn ReadAt);
        let mut layers: Vec<_> = files.zip(formats).map(layer).collect();
        let mut extents: Vec<_> = extents.iter_mut().map(|disk| disk as &mut dyn Disk).collect();
        job(&mut Companions {
            data_file: data_file.map(|file| file as &mut dyn Disk),
            backing: &mut layers,
            detached: false,
            // A guest that resizes is told that somebody has the passphrase; here nobody is asked for one.
            unlocked: true,
            extents: &mut extents,
        })
    }
}

/// An image that is only read.
struct ReadOnly<'i>(&'i Image);

impl ReadAt for ReadOnly<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.0.read(offset, buf);
        Ok(())
    }
}
