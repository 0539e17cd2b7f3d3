//! `instar completions` and `instar man`: what the argument definitions can tell others.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::error::CliError;
use crate::message::{Program, printable, to_stdout};
use clap::CommandFactory;

/// Prints a completion script for the name that the program was called by.
///
/// # Errors
/// [`CliError::Output`] if it cannot be written.
pub fn completions(program: &Program, args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), program.name(), &mut script);
    to_stdout(&String::from_utf8_lossy(&script))
}

/// Prints the manual page of one command, or all pages one after the other.
///
/// # Errors
/// [`CliError::Refused`] for a command that there is none of, [`CliError::Output`] if it cannot be
/// written.
pub fn man(args: &ManArgs) -> Result<(), CliError> {
    let mut cli = Cli::command();
    cli.build();
    let text = match args.command.as_deref() {
        None => {
            std::iter::once(&cli).chain(cli.get_subcommands()).map(page).collect::<Result<String, _>>()?
        }
        Some("instar") => page(&cli)?,
        Some(name) => match cli.find_subcommand(name) {
            Some(command) => page(command)?,
            None => {
                let name = printable(name);
                return Err(CliError::Refused(format!("There is no manual page for '{name}'")));
            }
        },
    };
    to_stdout(&text)
}

fn page(command: &clap::Command) -> Result<String, CliError> {
    // `display_name` of a built subcommand is "instar-resize", as its page is called.
    let title = command.get_display_name().unwrap_or(command.get_name());
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(title.to_uppercase())
        .render(&mut page)
        .map_err(CliError::Output)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
