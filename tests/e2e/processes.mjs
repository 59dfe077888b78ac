// What Linux knows of a process.
import { readdir, readFile, readlink } from "node:fs/promises";

/** The memory of process `pid` that is in RAM, in MB. */
export async function memory(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1024;
}

/** How many sockets process `pid` has open. */
export async function sockets(pid) {
  const folder = `/proc/${pid}/fd`;
  // One may be closed meanwhile.
  const files = (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => ""));
  return (await Promise.all(files)).filter((file) => file.startsWith("socket:")).length;
}

/** The processes that `pid` has started and that are called `name`, of which Linux keeps 15 characters. */
export async function children(pid, name) {
  const tasks = await readdir(`/proc/${pid}/task`);
  const lists = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, "utf8").catch(() => ""));
  const pids = (await Promise.all(lists)).join(" ").trim().split(/\s+/).filter(Boolean).map(Number);
  const names = pids.map((child) => readFile(`/proc/${child}/comm`, "utf8").catch(() => ""));
  const known = await Promise.all(names);
  return pids.filter((_, i) => known[i].trim() === name.slice(0, 15));
}
