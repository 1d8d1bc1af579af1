//! A merge function for shopping carts, for a Pangea table with the policy `wasm`.
//!
//! This file is the interface and can be copied as it is; `cart` has the rules, `json` reads.

#[cfg(target_arch = "wasm32")]
mod bump;
mod cart;
mod json;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: bump::Bump = bump::Bump::new();

/// Attributes that the rules treat in their own way, so that the checks generate them.
#[cfg(target_arch = "wasm32")]
#[unsafe(link_section = "pangea.attributes")]
#[used]
static ATTRIBUTES: [u8; 18] = *b"lines:M coupons:SS";

pub use cart::merge as merge_carts;

/// Room for an input. It is never given back: each merge has a memory of its own.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
extern "C" fn alloc(length: usize) -> *mut u8 {
    Box::leak(vec![0; length].into_boxed_slice()).as_mut_ptr()
}

/// Merges the versions at `a` and `b`: pointer and length of the result in one number.
///
/// # Safety
///
/// Both are places that `alloc` returned, with JSON in them.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
unsafe extern "C" fn merge(a: *const u8, a_length: usize, b: *const u8, b_length: usize) -> u64 {
    // SAFETY: the caller has filled what `alloc` made of these lengths.
    let (a, b) = unsafe {
        (std::slice::from_raw_parts(a, a_length), std::slice::from_raw_parts(b, b_length))
    };
    let text = |bytes| std::str::from_utf8(bytes).expect("JSON is UTF-8");
    let merged = cart::merge(text(a), text(b)).into_bytes().leak();
    ((merged.as_ptr() as u64) << 32) | merged.len() as u64
}
