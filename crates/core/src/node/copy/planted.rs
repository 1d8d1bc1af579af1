//! Copying and leaving as they must not be: each bug with the twin that ships.

use super::super::Node;

impl Node {}
