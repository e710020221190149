// Everything works without this; it adds comfort.

// Menus close where a menu should: on Escape, and when one looks elsewhere.
for (const menu of document.querySelectorAll('details[data-menu]')) {
  document.addEventListener('click', (event) => {
    if (!menu.contains(event.target)) menu.open = false
  })
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    menu.open = false
    menu.querySelector('summary').focus()
  })
}

// Where one is shows in a bar that is longer than the window.
for (const here of document.querySelectorAll('nav [aria-current]')) {
  here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft
}

// Buttons that copy: data-copy names the element whose text is meant.
for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false
  // What is there for screen readers stands after it, and stays.
  const label = button.firstChild
  const words = label.data
  button.addEventListener('click', async () => {
    const text = document.getElementById(button.dataset.copy).innerText.trim()
    try {
      await navigator.clipboard.writeText(text)
      label.data = 'Copied'
    } catch {
      label.data = 'Select it and copy'
    }
    setTimeout(() => (label.data = words), 2_000)
  })
}

// A form that is on its way is not sent twice.
for (const form of document.querySelectorAll('form[method=post]')) {
  form.addEventListener('submit', (event) => {
    if (form.dataset.sent === 'yes') event.preventDefault()
    form.dataset.sent = 'yes'
  })
}
window.addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent
})

// What went wrong is where one is taken to.
document.getElementById('problem')?.focus()
