//! Each oracle catches the fault planted for it.
