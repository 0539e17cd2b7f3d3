//! Hostile images: good ones of many shapes, spoiled one field at a time, and put before instar and a qemu-img.
//!
//! A [`Recipe`] makes a good image, [`fields`] finds every field of it that somebody may have tampered with, and each
//! [`Spoil`] puts one odd value there. [`Court`] then asks both programs about byte-identical copies: `info` and `check`
//! must say the same, and a resize by instar must leave nothing worse than qemu-img's does, or leave the file alone.
//!
//! Fields are found by what the specification says of the format; nothing here goes through the engine.

#![forbid(unsafe_code)]

mod answers;
mod bench;
mod code;
mod court;
mod error;
mod excuse;
mod face;
mod field;
mod image;
mod kept;
mod log;
mod other;
mod recipe;
mod runs;
mod spoil;
mod unresized;

pub use answers::Answers;
pub use code::Code;
pub use court::{Court, Finding, Question, Sentence, Verdict};
pub use error::HostileError;
pub use excuse::{EXCUSES, Excuse};
pub use field::{Field, fields};
pub use recipe::{OTHERS, RECIPES, Recipe, UNRESIZED};
pub use spoil::{Spoil, chosen, spoils, spoils_of};
pub use unresized::fields_of;
