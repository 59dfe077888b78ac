/** @jsxImportSource solid-js */
import { render } from "solid-js/web";
import { page } from "../page.js";
import { List } from "./List.js";
import source from "./List.tsx?raw";

render(() => <List />, page(source));
