//! Puts the configuration and the capabilities of the app into its program.

fn main() {
    println!("cargo::rerun-if-changed=../dist");
    if !std::path::Path::new("../dist/index.html").exists() {
        println!(
            "cargo::error=the front end is not built yet: run `cargo xtask demo`, or `npm ci && npm run build` \
             in guest-js and then in examples/chat"
        );
        return;
    }
    tauri_build::build();
}
