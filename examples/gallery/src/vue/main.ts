import { createApp } from "vue";
import { page } from "../page.js";
import List from "./List.vue";
import source from "./List.vue?raw";

createApp(List).mount(page(source));
