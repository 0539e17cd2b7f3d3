//! Cases, their generator, and fixtures built from them.

mod model;

pub use model::*;
