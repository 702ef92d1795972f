// The home page follows what happens.

import { keepLive } from "./live.js";

keepLive(["trace", "occurrence"]);
