//! The `podium` program.

use std::process::ExitCode;

/// Requests make many small allocations of short life, on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    podium::cli::run()
}
