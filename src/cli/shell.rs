//! `podium completion` and `podium man`: what a shell and `man` know of the command line, out of its definition.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Command};
use clap_complete::Shell;

/// Arguments of `podium completion`.
#[derive(Debug, Args)]
#[command(
    after_help = "bash: podium completion bash > ~/.local/share/bash-completion/completions/podium\n\
                  zsh:  podium completion zsh > DIR/_podium, where DIR is in $fpath\n\
                  fish: podium completion fish > ~/.config/fish/completions/podium.fish"
)]
pub(super) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints what the shell is to read.
pub(super) fn complete(args: &CompletionArgs, mut command: Command) -> Result<(), String> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "podium", &mut text);
    print(&text)
}

/// Arguments of `podium man`.
#[derive(Debug, Args)]
#[command(after_help = "Read it at once: podium man | man -l -")]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this directory, as podium.1, podium-serve.1 and so on
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the program's man page, or writes those of all commands.
pub(super) fn man(args: &ManArgs, command: Command) -> Result<(), String> {
    if let Some(folder) = &args.out {
        let told = |cause: io::Error| {
            format!(
                "--out {}: cannot be written: {cause}; name a directory of yours",
                folder.display()
            )
        };
        fs::create_dir_all(folder).map_err(told)?;
        return clap_mangen::generate_to(command, folder).map_err(told);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).map_err(|cause| cause.to_string())?;
    print(&text)
}

/// Writes to standard output; a reader who has seen enough is no failure.
fn print(text: &[u8]) -> Result<(), String> {
    match io::stdout().write_all(text) {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|cause| format!("cannot be written: {cause}")),
    }
}
