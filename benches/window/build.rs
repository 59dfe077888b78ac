//! Puts the configuration and the capabilities of the app into its program.

fn main() {
    tauri_build::build();
}
