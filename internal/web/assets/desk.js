// What the page can do better with a script; it works without.
"use strict";

// The part that renews itself: instead of the whole page, only itself.
const live = document.getElementById("live");
if (live) {
	// Who goes through the rows by keyboard keeps the place, and who marks text
	// keeps the text.
	const links = (href) => [...live.querySelectorAll("a")].filter((a) => a.getAttribute("href") === href);
	const place = (link) => {
		if (!live.contains(link)) return null;
		const href = link.getAttribute("href");
		return { href, nth: links(href).indexOf(link) };
	};
	const marked = () => !getSelection().isCollapsed && live.contains(getSelection().anchorNode);
	const renew = async () => {
		if (!document.hidden && !marked()) {
			try {
				const answer = await fetch(location.href, { cache: "no-store" });
				if (!answer.ok) throw new Error(answer.statusText);
				const page = new DOMParser().parseFromString(await answer.text(), "text/html");
				const fresh = page.getElementById("live");
				if (!fresh) { // logged out, or the daemon is restarting
					location.reload();
					return;
				}
				const known = new Set([...live.querySelectorAll(".when a")].map((a) => a.getAttribute("href")));
				for (const a of fresh.querySelectorAll(".when a")) {
					if (!known.has(a.getAttribute("href"))) a.closest("tr").classList.add("new");
				}
				const here = place(document.activeElement);
				live.replaceChildren(...fresh.childNodes);
				if (here) links(here.href)[here.nth]?.focus({ preventScroll: true });
			} catch {
				// No network, or no daemon, for the moment: the next time will do.
			}
		}
		setTimeout(renew, live.dataset.every * 1000);
	};
	setTimeout(renew, live.dataset.every * 1000);
}

// Enter sends what stands in the search box; Shift and Enter begins a line.
for (const box of document.querySelectorAll("textarea[name=text]")) {
	box.addEventListener("keydown", (event) => {
		if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
			event.preventDefault();
			box.form.requestSubmit();
		}
	});
}

// A button beside each command that copies it. Browsers allow it over TLS only.
if (navigator.clipboard) {
	for (const block of document.querySelectorAll("pre.command, .spoken")) {
		const button = document.createElement("button");
		button.type = "button";
		button.className = "copy";
		button.textContent = "Copy";
		button.addEventListener("click", async () => {
			try {
				await navigator.clipboard.writeText(block.innerText.trim());
				button.textContent = "Copied";
			} catch { // the browser was told not to allow it
				getSelection().selectAllChildren(block);
				button.textContent = "Selected";
			}
			setTimeout(() => { button.textContent = "Copy"; }, 2000);
		});
		const frame = document.createElement("div");
		frame.className = "copies";
		block.replaceWith(frame);
		frame.append(block, button);
	}
}
