//! An allocator that gives nothing back: every merge has a memory of its own, and that is short.
//!
//! Without this file the module uses the one of Rust's standard library, and works as well.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Taken from the system's allocator at a time.
const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) struct Bump {
    at: Cell<usize>,
    end: Cell<usize>,
}

impl Bump {
    pub(crate) const fn new() -> Self {
        Self { at: Cell::new(0), end: Cell::new(0) }
    }
}

// SAFETY: the module has one thread.
unsafe impl Sync for Bump {}

// SAFETY: what is handed out lies inside of a chunk that is never given back, behind all that was
// handed out of it before.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = self.at.get().next_multiple_of(layout.align());
        if place + layout.size() <= self.end.get() {
            self.at.set(place + layout.size());
            return place as *mut u8;
        }
        if layout.size() > CHUNK_BYTES / 4 {
            // SAFETY: the caller's layout.
            return unsafe { System.alloc(layout) };
        }
        let chunk = Layout::from_size_align(CHUNK_BYTES, 16).expect("16 is a power of two");
        // SAFETY: the size is not zero.
        let begin = unsafe { System.alloc(chunk) } as usize;
        if begin == 0 {
            return std::ptr::null_mut();
        }
        self.at.set(begin);
        self.end.set(begin + CHUNK_BYTES);
        // SAFETY: the caller's layout, which fits now.
        unsafe { self.alloc(layout) }
    }

    unsafe fn dealloc(&self, _place: *mut u8, _layout: Layout) {}
}
