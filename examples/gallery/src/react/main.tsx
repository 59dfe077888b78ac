import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { page } from "../page.js";
import { List } from "./List.js";
import source from "./List.tsx?raw";

createRoot(page(source)).render(
  <StrictMode>
    <List />
  </StrictMode>,
);
