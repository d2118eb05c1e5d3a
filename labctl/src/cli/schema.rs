//! `labctl schema`.

use std::process::ExitCode;

use labctl::schema::Document;

/// Prints the JSON Schema of a kind of file, with which editors complete and check it.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// The kind of file.
    document: Kind,
}

/// Kinds of files that have a schema.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// A topology.
    Topology,
    /// A NAT profile.
    Profile,
    /// A firewall profile.
    Firewall,
}

/// Runs `labctl schema`.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let document = match args.document {
        Kind::Topology => Document::Topology,
        Kind::Profile => Document::Profile,
        Kind::Firewall => Document::Firewall,
    };
    super::print(document.schema().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
