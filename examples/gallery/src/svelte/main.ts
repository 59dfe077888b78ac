import { mount } from "svelte";
import { page } from "../page.js";
import List from "./List.svelte";
import source from "./List.svelte?raw";

mount(List, { target: page(source) });
