const COMMANDS: &[&str] = &["open_watch", "close_watch", "watch_state", "ack_watch"];

fn main() {
    tauri_plugin::Builder::new(COMMANDS).build();
}
