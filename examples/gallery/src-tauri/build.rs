//! Puts the configuration and the capabilities of the app into its program.

fn main() {
    println!("cargo::rerun-if-changed=../dist");
    if !std::path::Path::new("../dist/react.html").exists() {
        println!(
            "cargo::error=the front end is not built yet: run `cargo xtask gallery`, or `npm ci && npm run build` \
             in guest-js and then in examples/gallery"
        );
        return;
    }
    tauri_build::build();
}
