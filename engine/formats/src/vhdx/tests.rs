//! Structures there and back, and logs built by hand.

extern crate std;
