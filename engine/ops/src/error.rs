//! Why an operation was refused or failed, in the words that `qemu-img` uses where it has some.

use crate::{Format, Preallocation};
use instar_formats::io::{Direction, IoError};

/// When an error arose: `qemu-img` prefixes those of opening with the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The image could not be made sense of: `Could not open 'NAME': ...`.
    Open,
    /// The request was refused.
    Request,
    /// A device failed while the job ran.
    Device,
}

macro_rules! op_errors {
    ($($(#[$doc:meta])* $code:literal $phase:ident $name:ident $({ $a:ident $(, $b:ident)? })? => $text:literal),* $(,)?) => {
        /// Why an operation was refused or failed. Its display is one line without the file's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum OpError {
            $(
                $(#[$doc])*
                #[error($text)]
                $name $({
                    /// See the variant.
                    $a: u64,
                    $(
                    /// See the variant.
                    $b: u64,
                    )?
                })?,
            )*
            /// The device failed.
            #[error("{0}")]
            Io(IoError),
        }

        impl OpError {
            /// When this error arose.
            #[must_use]
            pub const fn phase(&self) -> Phase {
                match self {
                    $(Self::$name { .. } => Phase::$phase,)*
                    Self::Io(_) => Phase::Device,
                }
            }

            /// The number of this error on the wire (never 0, never reused) and its details.
            #[must_use]
            pub const fn to_wire(&self) -> (u32, [u64; 3]) {
                match *self {
                    $(Self::$name $({ $a $(, $b)? })? => ($code, op_errors!(@args $($a $(, $b)?)?)),)*
                    Self::Io(e) => {
                        let direction = match e.direction {
                            Direction::Read => 1,
                            Direction::Write => 2,
                            Direction::Flush => 3,
                        };
                        (direction, [e.offset, e.len, e.errno as u64])
                    }
                }
            }

            /// The inverse of [`OpError::to_wire`]; `None` for a number that means nothing.
            #[must_use]
            pub fn from_wire(code: u32, details: [u64; 3]) -> Option<Self> {
                let direction = match code {
                    $($code => return Some(op_errors!(@make $name details $($a $(, $b)?)?)),)*
                    1 => Direction::Read,
                    2 => Direction::Write,
                    3 => Direction::Flush,
                    _ => return None,
                };
                let errno = u32::try_from(details[2]).ok()?;
                Some(Self::Io(IoError { direction, offset: details[0], len: details[1], errno }))
            }
        }
    };
    (@args) => { [0; 3] };
    (@args $a:ident) => { [$a, 0, 0] };
    (@args $a:ident, $b:ident) => { [$a, $b, 0] };
    (@make $name:ident $d:ident) => { Self::$name };
    (@make $name:ident $d:ident $a:ident) => { Self::$name { $a: $d[0] } };
    (@make $name:ident $d:ident $a:ident, $b:ident) => { Self::$name { $a: $d[0], $b: $d[1] } };
}

op_errors! {
    /// The new size is zero or less, or beyond what a signed 64-bit byte count can say.
    10 Request NewSizeNotPositive => "New image size must be positive",
}

impl From<IoError> for OpError {
    fn from(e: IoError) -> Self {
        Self::Io(e)
    }
}

#[allow(unused)]
fn _uses(_: Format, _: Preallocation) {}
