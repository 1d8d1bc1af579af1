//! How it is spelled: the wire and disk formats of Pangea. No IO; bytes in, values out.

pub mod dynamo;
