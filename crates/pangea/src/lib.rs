pub mod dns;
pub mod l4;
pub mod probe;
pub mod traffic;
